/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/trampoline.h"

#include <errno.h>

#include <bpf/bpf.h>
#include <linux/bpf.h>

#include "base/cleanup.h"

int trampoline_try(int btf_id)
{
        static const struct bpf_insn return_0[] = {
                { .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0 },
                { .code = BPF_JMP | BPF_EXIT },
        };
        LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_TRACE_FENTRY, .attach_btf_id = btf_id);
        _cleanup_close_ int program = bpf_prog_load(BPF_PROG_TYPE_TRACING, "bpfbudget_probe", "GPL", return_0,
                        sizeof(return_0) / sizeof(return_0[0]), &opts);
        _cleanup_close_ int link = program < 0 ? -EBADF : bpf_raw_tracepoint_open(NULL, program);

        return program < 0 ? program : link < 0 ? link : 0;
}
