// SPDX-License-Identifier: LGPL-2.1-or-later

// A client that shares nothing with the daemon: Debian's varlink library for Go, with the types that its generator makes
// of the interface. Each reply is decoded into them strictly: what the interface does not have, or has as another type,
// is an error. Speaks TAP.
//
//	client SOCKET INTERFACE-FILE CGROUP OBJECTS
//
// CGROUP has OBJECTS maps.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/varlink/go/varlink"
	"github.com/varlink/go/varlink/idl"

	"iobpfbudget"
)

var (
	ctx    = context.Background()
	conn   *varlink.Connection
	cgroup string
	count  int
	failed bool
)

// strict decodes a reply into the generated types.
func strict(raw json.RawMessage, out interface{}) error {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	return decoder.Decode(out)
}

func call(method string, in, out interface{}) error {
	var raw json.RawMessage

	if in == nil {
		in = struct{}{}
	}
	err := conn.Call(ctx, "io.bpfbudget."+method, in, &raw)
	if err != nil {
		return iobpfbudget.Dispatch_Error(err)
	}
	return strict(raw, out)
}

type object map[string]interface{}

func expect(what string, is, should interface{}) error {
	if is != should {
		return fmt.Errorf("%s is %v, should be %v", what, is, should)
	}
	return nil
}

func getInfo() error {
	var vendor, product, version, url string
	var interfaces []string

	if err := conn.GetInfo(ctx, &vendor, &product, &version, &url, &interfaces); err != nil {
		return err
	}
	return expect("info", fmt.Sprint(product, interfaces), "bpfbudgetd[org.varlink.service io.bpfbudget]")
}

func getDescriptions() error {
	file, err := os.ReadFile(os.Args[2])
	if err != nil {
		return err
	}
	for _, name := range []string{"io.bpfbudget", "org.varlink.service"} {
		text, err := conn.GetInterfaceDescription(ctx, name)
		if err != nil {
			return err
		}
		if _, err = idl.New(text); err != nil {
			return err
		}
		if name == "io.bpfbudget" && text != string(file) {
			return errors.New("the description is not the file")
		}
	}
	return nil
}

func getCgroup() error {
	var out struct{ Cgroup iobpfbudget.Cgroup }

	if err := call("Flush", nil, &struct{}{}); err != nil {
		return err
	}
	if err := call("GetCgroup", object{"cgroup": cgroup}, &out); err != nil {
		return err
	}
	if out.Cgroup.Path == nil || out.Cgroup.Budget != nil || out.Cgroup.Bpf.Allocated == 0 {
		return fmt.Errorf("unexpected: %+v", out.Cgroup)
	}
	return expect("maps", out.Cgroup.Bpf.MapCount, int64(count))
}

func listCgroups() error {
	var out struct{ Cgroups []iobpfbudget.Cgroup }

	if err := call("ListCgroups", object{"minimum": 1}, &out); err != nil {
		return err
	}
	for _, c := range out.Cgroups {
		if c.Path != nil && *c.Path == cgroup {
			return nil
		}
	}
	return errors.New("the cgroup is not listed")
}

// A stream, reply by reply.
func listObjects() error {
	receive, err := conn.Send(ctx, "io.bpfbudget.ListObjects",
		object{"cgroup": cgroup, "kind": "map", "holders": true, "pins": true, "uses": true}, varlink.More)
	if err != nil {
		return err
	}
	replies, seen := 0, map[int64]bool{}
	for flags := uint64(varlink.Continues); flags&varlink.Continues != 0; replies++ {
		var raw json.RawMessage
		var out struct{ Objects []iobpfbudget.Object }

		if flags, err = receive(ctx, &raw); err != nil {
			return err
		}
		if err = strict(raw, &out); err != nil {
			return err
		}
		for _, o := range out.Objects {
			if o.Holders == nil || len(*o.Holders) != 1 || o.Pins == nil || o.UsedBy == nil || o.Maps != nil {
				return fmt.Errorf("unexpected: %+v", o)
			}
			seen[o.Id] = true
		}
	}
	if replies < 2 {
		return errors.New("it came in one reply")
	}
	return expect("objects", len(seen), count)
}

func listPrograms() error {
	var out struct{ Objects []iobpfbudget.Object }

	if err := call("ListObjects", object{"kind": "program", "uses": true}, &out); err != nil {
		return err
	}
	for _, o := range out.Objects {
		if o.Owner == "self" && o.Maps != nil && o.UsedBy == nil && o.Flags == nil {
			return nil
		}
	}
	return errors.New("the daemon's own programs are not listed")
}

func explain() error {
	var out struct {
		Cgroup                   iobpfbudget.Cgroup
		MemoryCurrent, MemoryMax *int64
		Shares                   []iobpfbudget.Share
		BpfCharged, BpfUncharged int64
		Objects                  []iobpfbudget.Object
		Refusals                 []iobpfbudget.Refusal
		RefusalsSince            int64
		MemoryEvents             []iobpfbudget.MemoryEvents
		Verdict                  string
	}

	if err := call("Explain", object{"cgroup": cgroup}, &out); err != nil {
		return err
	}
	if out.Verdict == "" || len(out.Shares) < 9 || len(out.Objects) != 10 || out.BpfCharged == 0 {
		return fmt.Errorf("unexpected: %+v", out)
	}
	return nil
}

// By the generated methods.
func budget() error {
	var out struct{ Budgets []iobpfbudget.Budget }
	kinds := []string{"state"}
	high := int64(1000)

	watch, err := varlink.NewConnection(ctx, "unix:"+os.Args[1])
	if err != nil {
		return err
	}
	defer watch.Close()
	receive, err := iobpfbudget.Subscribe().Send(ctx, watch, varlink.More, &cgroup, &kinds)
	if err != nil {
		return err
	}
	if event, lost, flags, err := receive(ctx); err != nil || event != nil || lost != 0 || flags != varlink.Continues {
		return fmt.Errorf("first reply: %v %v %v %v", event, lost, flags, err)
	}
	_, err = iobpfbudget.SetBudget().Call(ctx, conn, cgroup, &high, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil)
	if err != nil {
		return err
	}
	event, _, _, err := receive(ctx)
	if err != nil {
		return err
	}
	if event == nil || event.Kind != "state" || *event.Cgroup != cgroup || *event.To != "high" || *event.High != high {
		return fmt.Errorf("unexpected: %+v", event)
	}
	if err = call("ListBudgets", nil, &out); err != nil {
		return err
	}
	if len(out.Budgets) != 1 || !out.Budgets[0].Runtime || out.Budgets[0].Cgroups != 1 {
		return fmt.Errorf("unexpected: %+v", out)
	}
	c, err := iobpfbudget.GetCgroup().Call(ctx, conn, cgroup)
	if err != nil {
		return err
	}
	if c.Budget == nil || c.Budget.State != "high" || c.Budget.Events.High != 1 {
		return fmt.Errorf("unexpected: %+v", c.Budget)
	}
	return iobpfbudget.UnsetBudget().Call(ctx, conn, cgroup)
}

func daemon() error {
	var statistics struct{ Statistics iobpfbudget.Statistics }
	var capabilities struct{ Capabilities []iobpfbudget.Capability }

	if err := call("GetStatistics", nil, &statistics); err != nil {
		return err
	}
	if err := call("GetCapabilities", nil, &capabilities); err != nil {
		return err
	}
	if len(capabilities.Capabilities) < 10 || statistics.Statistics.Objects < int64(count) {
		return fmt.Errorf("unexpected: %+v %+v", statistics, capabilities)
	}
	_, err := iobpfbudget.Reload().Call(ctx, conn)
	return err
}

func typedErrors() error {
	var noCgroup *iobpfbudget.NoSuchCgroup
	var noUnit *iobpfbudget.NoSuchUnit
	var noBudget *iobpfbudget.NoSuchBudget
	var invalid *iobpfbudget.InvalidBudget
	var parameter *varlink.InvalidParameter
	var method *varlink.MethodNotFound
	var more *varlink.Error
	high, unit := int64(-1), "no-such-unit"

	_, err := iobpfbudget.GetCgroup().Call(ctx, conn, "/no-such-cgroup")
	if !errors.As(err, &noCgroup) || noCgroup.Cgroup != "/no-such-cgroup" {
		return fmt.Errorf("not the error that should come: %v", err)
	}
	_, _, _, _, _, _, _, _, _, _, _, err = iobpfbudget.Explain().Call(ctx, conn, nil, &unit)
	if !errors.As(err, &noUnit) || noUnit.Unit != unit {
		return fmt.Errorf("not the error that should come: %v", err)
	}
	if err = iobpfbudget.UnsetBudget().Call(ctx, conn, cgroup); !errors.As(err, &noBudget) {
		return fmt.Errorf("not the error that should come: %v", err)
	}
	_, err = iobpfbudget.SetBudget().Call(ctx, conn, cgroup, &high, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil)
	if !errors.As(err, &invalid) || invalid.Field != "high" {
		return fmt.Errorf("not the error that should come: %v", err)
	}
	if err = call("GetCgroup", object{"cgroup": 5}, nil); !errors.As(err, &parameter) || parameter.Parameter != "cgroup" {
		return fmt.Errorf("not the error that should come: %v", err)
	}
	if err = call("Nothing", nil, nil); !errors.As(err, &method) || method.Method != "io.bpfbudget.Nothing" {
		return fmt.Errorf("not the error that should come: %v", err)
	}
	err = call("Subscribe", nil, nil)
	if !errors.As(err, &more) || more.Name != "org.varlink.service.ExpectedMore" {
		return fmt.Errorf("not the error that should come: %v", err)
	}
	return nil
}

func main() {
	tests := []struct {
		name string
		run  func() error
	}{
		{"GetInfo", getInfo},
		{"GetInterfaceDescription", getDescriptions},
		{"GetCgroup", getCgroup},
		{"ListCgroups", listCgroups},
		{"ListObjects in a stream", listObjects},
		{"ListObjects of programs", listPrograms},
		{"Explain", explain},
		{"SetBudget, Subscribe, ListBudgets, UnsetBudget", budget},
		{"GetStatistics, GetCapabilities, Reload", daemon},
		{"typed errors", typedErrors},
	}

	var err error
	cgroup = os.Args[3]
	count, _ = strconv.Atoi(os.Args[4])
	conn, err = varlink.NewConnection(ctx, "unix:"+os.Args[1])
	if err != nil {
		fmt.Println("Bail out!", err)
		os.Exit(1)
	}
	fmt.Printf("1..%d\n", len(tests))
	for i, test := range tests {
		if err = test.run(); err != nil {
			failed = true
			fmt.Printf("# %v\nnot ok %d - %s\n", err, i+1, test.name)
		} else {
			fmt.Printf("ok %d - %s\n", i+1, test.name)
		}
	}
	if failed {
		os.Exit(1)
	}
}
