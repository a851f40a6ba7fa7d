/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Keys, their defaults, bounds and what is wrong with a value: keys.h, fields.h. */
#include <sys/sysinfo.h>

#include "config-fixture.h"

/* How messages end. */
#define DECIMAL         "is not valid, as its unit may be a power of 1000 or of 1024: "
#define COUNT_EXPECTED  "expected a whole number of 0 to 4294967295, or infinity"
#define RATIO_EXPECTED  "expected a whole percentage of 1% to 1000000%, or infinity"
#define CLEAR_EXPECTED  "expected a whole percentage of 1% to 100%"
#define LISTEN_EXPECTED "expected a path, IPV4:PORT or [IPV6]:PORT, such as /run/bpfbudget/metrics or 127.0.0.1:9843"
#define LONG_NAME       "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
#define POLL_EXPECTED   "expected a time of 100ms to 1h, or 0 for none"
#define ALERT_EXPECTED  "expected a time of at most 24h such as 500ms, 5s or 2min, or 0 for no limit"
#define PAUSE_EXPECTED  "expected a time of at most 1min such as 500ms or 2s, or 0 for no pauses"
#define SIZES_EXPECTED  "expected a whole number of 1 to 1048576, or 0 for what the machine has"

/* clang-format off */
static const struct {
        const char *text, *told;
} bad_budgets[] = {
        /* Sections and keys */
        { "[Mach]\nCgroup=/a\n", "1: [Mach] is not a section of a budget: did you mean [Match]?" },
        { "[Budgets]\n" MATCH_A, "1: [Budgets] is not a section of a budget: did you mean [Budget]?" },
        { MATCH_A "[Daemon]\nPollSec=1\n", "4: [Daemon] is not a section of a budget, " BUDGET_HAS },
        { MATCH_A "[]\nHigh=1\n", "4: [] is not a section of a budget, " BUDGET_HAS },
        { "[Match\nCgroup=/a\n", "1: [Match has no \"]\": close it" },
        { MATCH_A "Heigh=64M\n", "4: Heigh= is not a key of [Budget]: did you mean High=?" },
        { MATCH_A "high=64M\n", "4: high= is not a key of [Budget]: did you mean High=?" },
        { MATCH_A "Hihg=64M\n", "4: Hihg= is not a key of [Budget]: did you mean High=?" },
        { MATCH_A "ProgramMax=1\n", "4: ProgramMax= is not a key of [Budget]: did you mean ProgramsMax=?" },
        { MATCH_A "Unknown=1\n", "4: Unknown= is not a key of [Budget], which has " BUDGET_KEYS },
        { MATCH_A "Cgroup=/b\n", "4: Cgroup= belongs in [Match], not in [Budget]: move it there" },
        { MATCH_A "Cgruop=/b\n", "4: Cgruop= is not a key of [Budget]: did you mean Cgroup= of [Match]?" },
        { "[Match]\nUint=a.service\n", "2: Uint= is not a key of [Match]: did you mean Unit=?" },
        { "[Match]\nSlice=a\n", "2: Slice= is not a key of [Match], which has Cgroup=, Unit=, User=, Pod=, Container=" },
        { "High=1M\n" MATCH_A, "1: High= is above the first section: put High= below [Budget]" },
        { "Foo=1M\n" MATCH_A, "1: Foo= is above the first section, and no key of a budget, " BUDGET_HAS ": remove it" },
        /* Lines */
        { MATCH_A "nonsense\n", "4: \"nonsense\" " NO_LINE },
        { MATCH_A "High: 64M\n", "4: \"High: 64M\" " NO_LINE },
        { MATCH_A "=64M\n", "4: \"=64M\" " NO_LINE },
        { MATCH_A "High=\xff\n", "4: line is not UTF-8 (byte 0xff at 6): save the file as UTF-8" },
        { MATCH_A "High=\xc0\x80\n", "4: line is not UTF-8 (byte 0xc0 at 6): save the file as UTF-8" },
        { MATCH_A "High=\xed\xa0\x80\n", "4: line is not UTF-8 (byte 0xed at 6): save the file as UTF-8" },
        { MATCH_A "High=\xf4\x90\x80\x80\n", "4: line is not UTF-8 (byte 0xf4 at 6): save the file as UTF-8" },
        { MATCH_A "High=\xc3", "4: line is not UTF-8 (byte 0xc3 at 6): save the file as UTF-8" },
        { MATCH_A "High=\x1b[31m\n", "4: line has the control character U+001B: remove it" },
        { MATCH_A "High=1M\rMax=2M\n", "4: line has the control character U+000D: remove it" },
        { MATCH_A "High=1M\xe2\x80\xa8Max=2M\n", "4: line has the control character U+2028: remove it" },
        /* Bytes */
        { MATCH_A "High=64X\n", "4: High=64X is not valid: " SIZE_EXPECTED },
        { MATCH_A "High=64MB\n", "4: High=64MB " DECIMAL SIZE_EXPECTED },
        { MATCH_A "High=64kB\n", "4: High=64kB " DECIMAL SIZE_EXPECTED },
        { MATCH_A "High=5MBB\n", "4: High=5MBB is not valid: " SIZE_EXPECTED },
        { MATCH_A "High=64 M\n", "4: High=64 M is not valid: " SIZE_EXPECTED },
        { MATCH_A "High=64M # half\n", "4: High=64M # half is not valid: " SIZE_EXPECTED },
        { MATCH_A "High=1.5\n", "4: High=1.5 is not valid: " SIZE_EXPECTED },
        { MATCH_A "Max=-64M\n", "4: Max=-64M is negative: " SIZE_EXPECTED },
        { MATCH_A "Max=99999999999999999999\n", "4: Max=99999999999999999999 is too large: " SIZE_EXPECTED },
        { MATCH_A "Max=8388608T\n", "4: Max=8388608T is too large: " SIZE_EXPECTED },
        { MATCH_A "Max=101%\n", "4: Max=101% is too large: " SIZE_EXPECTED },
        { MATCH_A "High=128M\nMax=64M\n",
          "5: High=128M (line 4) is more than Max=64M (line 5): lower High= or raise Max=" },
        { MATCH_A "Max=1G\nHigh=50%\n",
          "5: High=50% (line 5) is more than Max=1G (line 4): lower High= or raise Max=" },
        { MATCH_A "High=9K\nMax=8K\nHigh=\nMax=\nMax=1M\nHigh=2M\n",
          "9: High=2M (line 9) is more than Max=1M (line 8): lower High= or raise Max=" },
        /* Other numbers */
        { MATCH_A "MapsMax=1K\n", "4: MapsMax=1K is not valid: " COUNT_EXPECTED },
        { MATCH_A "MapsMax=-1\n", "4: MapsMax=-1 is negative: " COUNT_EXPECTED },
        { MATCH_A "ProgramsMax=1.5\n", "4: ProgramsMax=1.5 is not valid: " COUNT_EXPECTED },
        { MATCH_A "ProgramsMax=4294967296\n", "4: ProgramsMax=4294967296 is too large: " COUNT_EXPECTED },
        { MATCH_A "FootprintRatioHigh=0%\n", "4: FootprintRatioHigh=0% is not valid: " RATIO_EXPECTED },
        { MATCH_A "FootprintRatioHigh=%\n", "4: FootprintRatioHigh=% is not valid: " RATIO_EXPECTED },
        { MATCH_A "FootprintRatioHigh=5M\n", "4: FootprintRatioHigh=5M is not valid: " RATIO_EXPECTED },
        { MATCH_A "FootprintRatioHigh=1000001%\n", "4: FootprintRatioHigh=1000001% is too large: " RATIO_EXPECTED },
        { MATCH_A "ClearPercent=0\n", "4: ClearPercent=0 is not valid: " CLEAR_EXPECTED },
        { MATCH_A "ClearPercent=101\n", "4: ClearPercent=101 is too large: " CLEAR_EXPECTED },
        { MATCH_A "ClearPercent=-5%\n", "4: ClearPercent=-5% is negative: " CLEAR_EXPECTED },
        { MATCH_A "ClearPercent=x\n", "4: ClearPercent=x is not valid: " CLEAR_EXPECTED },
        /* Words */
        { MATCH_A "OnHigh=deny\n", "4: OnHigh=deny is not valid: expected alert or throttle" },
        { MATCH_A "OnMax=throttle\n", "4: OnMax=throttle is not valid: expected alert or deny" },
        { MATCH_A "Attribution=me\n", "4: Attribution=me is not valid: expected charged or holder" },
        { MATCH_A "Count=all\n", "4: Count=all is not valid: expected allocated, charged or committed" },
        { MATCH_A "Unbounded=yes\n", "4: Unbounded=yes is not valid: expected refuse or allow" },
        /* Comments behind a value */
        { MATCH_A "High=64M ; x\n", "4: High= " COMMENT("; x") },
        { MATCH_A "High=64M\t;\n", "4: High= " COMMENT(";") },
        { MATCH_A "High= ; none\n", "4: High= " COMMENT("; none") },
        { MATCH_A "High = 1M ;;x ; y\n", "4: High= " COMMENT(";;x ; y") },
        { MATCH_A "Hihg=64M ; x\n",
          "4: Hihg= " COMMENT("; x") "\n" ETC "x.budget:4: Hihg= is not a key of [Budget]: did you mean High=?" },
        { MATCH_A "OnMax=deny ; x\n", "4: OnMax= " COMMENT("; x") },
        { MATCH_A "High=64M ;x\nMax=1M ;y\n", "4: High= " COMMENT(";x") "\n" ETC "x.budget:5: Max= " COMMENT(";y") },
        { "[Match]\nCgroup=/a ;b /c\n", "2: Cgroup= " COMMENT(";b /c") },
        { "[Match]\nCgroup=/a #b /c\n", "2: Cgroup= " COMMENT("#b /c") },
        { "[Match]\nCgroup=#b\n", "2: Cgroup= " COMMENT("#b") },
        { "[Match]\nUnit=a.service # *.scope\n", "2: Unit= " COMMENT("# *.scope") },
        { "[Match]\nUnit=a.service ; x\n", "2: Unit= " COMMENT("; x") },
        { "[Match]\nUser=root #me\n", "2: User= " COMMENT("#me") },
        { MATCH_A "[Budget]High=1M\n", "4: [Budget] has \"High=1M\" behind it: put it in a line of its own" },
        { "[Match] Cgroup=/a\n[Match]\nCgroup=/a\n",
          "1: [Match] has \"Cgroup=/a\" behind it: put it in a line of its own" },
        /* What is no extension of another program */
        { MATCH_A "X-High\n", "4: \"X-High\" " NO_LINE },
        { MATCH_A "x-High=1M\n",
          "4: x-High= is not a key: those of other programs begin with an upper-case \"X-\"" },
        { MATCH_A "x-High\n", "4: \"x-High\" " NO_LINE },
        { MATCH_A "[x-Budget]\n",
          "4: [x-Budget] is not a section of a budget: those of other programs begin with an upper-case \"X-\"" },
        { MATCH_A "XHigh=1M\n", "4: XHigh= is not a key of [Budget]: did you mean High=?" },
        { "[X-Match\nCgroup=/a\n" MATCH_A, "1: [X-Match has no \"]\": close it" },
        { "[X-Match]\nCgroup=/a\n", " " NO_MATCH },
        /* Patterns */
        { "[Match]\nCgroup=/sys/fs/cgroup//a\n",
          "2: Cgroup=/sys/fs/cgroup//a has an empty component: write one \"/\" for \"//\"" },
        { "[Match]\nCgroup=!/sys/fs/cgroup/memory/a/\n",
          "2: Cgroup=!/sys/fs/cgroup/memory/a/ ends in \"/\", which no cgroup does: leave it out" },
        { "[Budget]\nHigh=1M\n", " " NO_MATCH },
        { "# nothing\n", " " NO_MATCH },
        { "[Match]\nCgroup=/a\nCgroup=\n", " " NO_MATCH },
        { "[Match]\nCgroup=\"/a\"\n", "2: Cgroup=\"/a\" " NO_PATH },
        { "[Match]\nCgroup=/a b\n", "2: Cgroup=b " NO_PATH },
        { "[Match]\nCgroup=!a.slice\n", "2: Cgroup=!a.slice " NO_PATH },
        { "[Match]\nCgroup=!\n", "2: Cgroup=! " NO_PATH },
        { "[Match]\nCgroup=/a[b\n", "2: Cgroup=/a[b has a \"[\" without \"]\": close it" },
        { "[Match]\nCgroup=/a/\n", "2: Cgroup=/a/ ends in \"/\", which no cgroup does: leave it out" },
        { "[Match]\nCgroup=/a//b\n", "2: Cgroup=/a//b has an empty component: write one \"/\" for \"//\"" },
        { "[Match]\nUnit=/a.service\n", "2: Unit=/a.service has a \"/\", which no unit has: use Cgroup= for paths" },
        { "[Match]\nUnit=[a.service\n", "2: Unit=[a.service has a \"[\" without \"]\": close it" },
        { "[Match]\nUnit=docker\n", "2: Unit=docker is no unit that has a cgroup: " UNIT_EXPECTED },
        { "[Match]\nUnit=!docker.timer\n", "2: Unit=!docker.timer is no unit that has a cgroup: " UNIT_EXPECTED },
        { "[Match]\nUser=root !\n", "2: User=! excludes nobody: expected names or numbers of users" },
};

/* clang-format on */

/* clang-format off */
static const struct {
        const char *text, *told;
} bad_settings[] = {
        { "[Deamon]\nPollSec=1\n", "1: [Deamon] is not a section of the settings: did you mean [Daemon]?" },
        { "[Match]\nCgroup=/a\n", "1: [Match] is not a section of the settings, which has [Daemon]" },
        { "[Daemon]\nPolSec=1\n", "2: PolSec= is not a key of [Daemon]: did you mean PollSec=?" },
        { "PollSec=1\n", "1: PollSec= is above the first section: put PollSec= below [Daemon]" },
        { "[Daemon]\nPollSec=5days\n", "2: PollSec=5days is too large: " POLL_EXPECTED },
        { "[Daemon]\nPollSec=1us\n", "2: PollSec=1us is not valid: " POLL_EXPECTED },
        { "[Daemon]\nPollSec=2h\n", "2: PollSec=2h is too large: " POLL_EXPECTED },
        { "[Daemon]\nPollSec=5dys\n", "2: PollSec=5dys is not valid: " POLL_EXPECTED },
        { "[Daemon]\nPollSec=1min -5s\n", "2: PollSec=1min -5s is negative: " POLL_EXPECTED },
        { "[Daemon]\nPollSec=1min, 5s\n", "2: PollSec=1min, 5s is not valid: " POLL_EXPECTED },
        { "[Daemon]\nPollSec=s\n", "2: PollSec=s is not valid: " POLL_EXPECTED },
        { "[Daemon]\nPollSec=99999999999999y 1x\n", "2: PollSec=99999999999999y 1x is not valid: " POLL_EXPECTED },
        { "[Daemon]\nPollSec=infinity\n", "2: PollSec=infinity is not valid: " POLL_EXPECTED },
        { "[Daemon]\nPollSec=1s ; short\n", "2: PollSec= " COMMENT("; short") },
        { "[Daemon] PollSec=1s\n", "1: [Daemon] has \"PollSec=1s\" behind it: put it in a line of its own" },
        { "[Daemon]\nPollSec=-5s\n", "2: PollSec=-5s is negative: " POLL_EXPECTED },
        { "[Daemon]\nPollSec=99999999999999999999999h\n",
          "2: PollSec=99999999999999999999999h is too large: " POLL_EXPECTED },
        { "[Daemon]\nAlertIntervalSec=25h\n", "2: AlertIntervalSec=25h is too large: " ALERT_EXPECTED },
        { "[Daemon]\nAlertBurst=0\n", "2: AlertBurst=0 is not valid: expected a whole number of 1 to 4294967295" },
        { "[Daemon]\nAlertBurst=4294967296\n",
          "2: AlertBurst=4294967296 is too large: expected a whole number of 1 to 4294967295" },
        { "[Daemon]\nThrottleMaxSec=2min\n", "2: ThrottleMaxSec=2min is too large: " PAUSE_EXPECTED },
        { "[Daemon]\nNeverThrottle=dbus.service\n", "2: NeverThrottle=dbus.service " NO_PATH },
        { "[Daemon]\nMaxCgroups=2000000\n", "2: MaxCgroups=2000000 is too large: " SIZES_EXPECTED },
        { "[Daemon]\nFailMode=close\n", "2: FailMode=close is not valid: expected open or closed" },
        { "[Daemon]\nMetricsListen=:9843\n", "2: MetricsListen=:9843 does not say at which address: " LISTEN_EXPECTED },
        { "[Daemon]\nMetricsListen=9843\n", "2: MetricsListen=9843 does not say at which address: " LISTEN_EXPECTED },
        { "[Daemon]\nMetricsListen=*:9843\n", "2: MetricsListen=*:9843 does not say at which address: " LISTEN_EXPECTED },
        { "[Daemon]\nMetricsListen=localhost:9843\n",
          "2: MetricsListen=localhost:9843 is not valid: " LISTEN_EXPECTED },
        { "[Daemon]\nMetricsListen=127.0.0.1\n", "2: MetricsListen=127.0.0.1 is not valid: " LISTEN_EXPECTED },
        { "[Daemon]\nMetricsListen=127.0.0.1:\n", "2: MetricsListen=127.0.0.1: is not valid: " LISTEN_EXPECTED },
        { "[Daemon]\nMetricsListen=127.0.0.1:0\n", "2: MetricsListen=127.0.0.1:0 is not valid: " LISTEN_EXPECTED },
        { "[Daemon]\nMetricsListen=127.0.0.1:65536\n",
          "2: MetricsListen=127.0.0.1:65536 is not valid: " LISTEN_EXPECTED },
        { "[Daemon]\nMetricsListen=256.0.0.1:1\n", "2: MetricsListen=256.0.0.1:1 is not valid: " LISTEN_EXPECTED },
        { "[Daemon]\nMetricsListen=::1:9843\n", "2: MetricsListen=::1:9843 is not valid: " LISTEN_EXPECTED },
        { "[Daemon]\nMetricsListen=[::1:9843\n", "2: MetricsListen=[::1:9843 is not valid: " LISTEN_EXPECTED },
        { "[Daemon]\nMetricsListen=/\n", "2: MetricsListen=/ is not valid: " LISTEN_EXPECTED },
        { "[Daemon]\nMetricsListen=metrics\n", "2: MetricsListen=metrics is not valid: " LISTEN_EXPECTED },
        { "[Daemon]\nMetricsListen=/run/" LONG_NAME "\n",
          "2: MetricsListen=/run/" LONG_NAME " is longer than the path of a socket may be: " LISTEN_EXPECTED },
        { "[Daemon]\nMetricsListen=127.0.0.1:1 # x\n", "2: MetricsListen= " COMMENT("# x") },
        { "[Daemon]\nMetricsCgroupsMax=100001\n",
          "2: MetricsCgroupsMax=100001 is too large: expected a whole number of 0 to 100000" },
        { "[Daemon]\nMetricsMapsMax=-1\n", "2: MetricsMapsMax=-1 is negative: expected a whole number of 0 to 10000" },
        { "[Daemon]\nStrict=maybe\n", "2: Strict=maybe is not valid: expected yes or no" },
};

/* clang-format on */

/* Where metrics are served: one address, the last one; an empty value is none. */
static void test_listen(void **state)
{
        static const struct {
                const char *text;
                int family;
        } cases[] = {
                { "/run/bpfbudget/metrics", AF_UNIX },
                { "127.0.0.1:9843", AF_INET },
                { "127.1.2.3:1", AF_INET },
                { "[::1]:65535", AF_INET6 },
        };
        struct fixture *f = *state;
        const struct listen_address *address = &f->config.settings.metrics_listen;
        char text[256];

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                snprintf(text, sizeof(text), "[Daemon]\nMetricsListen=%s\n", cases[i].text);
                put(f, ETC CONF, text);
                assert_loads(f, "");
                assert_string_equal(address->text, cases[i].text);
                assert_int_equal(address->socket.ss_family, cases[i].family);
        }
        put(f, ETC CONF ".d/b.conf", "[Daemon]\nMetricsListen=\n");
        assert_loads(f, "");
        assert_string_equal(address->text, "");
        put(f, ETC CONF ".d/b.conf", "[Daemon]\nMetricsListen=/a\n");
        assert_loads(f, "");
        assert_string_equal(address->text, "/a");
}

/* Whoever reaches another address may read them. */
static void test_listen_warnings(void **state)
{
        static const char *const addresses[] = { "0.0.0.0:9843", "[::]:9843", "10.0.0.1:9843", "128.0.0.1:1" };
        struct fixture *f = *state;
        char text[256], told[512];

        for (size_t i = 0; i < ELEMENTSOF(addresses); i++) {
                snprintf(text, sizeof(text), "[Daemon]\nMetricsListen=%s\n", addresses[i]);
                snprintf(told, sizeof(told),
                                ETC CONF
                                ":2: warning: MetricsListen=%s can be reached from other hosts, without a password or "
                                "encryption: use 127.0.0.1 or [::1] and a proxy, or see to a firewall\n",
                                addresses[i]);
                put(f, ETC CONF, text);
                assert_loads(f, told);
        }
        put(f, ETC CONF, "[Daemon]\nMetricsListen=/a\nMetricsListen=/b\n");
        assert_loads(f, ETC CONF
                        ":3: warning: MetricsListen=/b overrides MetricsListen=/a in line 2: remove one of the two\n");
}

static void test_budget_defaults(void **state)
{
        struct fixture *f = *state;
        const struct budget *budget;

        put(f, ETC "a.budget", "[Match]\nCgroup=/a\n");
        assert_loads(f, "");
        budget = match(f, "/a");
        assert_non_null(budget);
        assert_true(budget->high == BUDGET_INFINITY && budget->max == BUDGET_INFINITY);
        assert_true(budget->maps_max == BUDGET_INFINITY && budget->programs_max == BUDGET_INFINITY);
        assert_int_equal(budget->footprint_ratio_high, 0);
        assert_int_equal(budget->on_high, ACTION_ALERT);
        assert_int_equal(budget->on_max, ACTION_ALERT);
        assert_int_equal(budget->attribution, BUDGET_CHARGED);
        assert_int_equal(budget->count, COUNT_ALLOCATED);
        assert_int_equal(budget->clear_percent, BUDGET_CLEAR_PERCENT);
}

/* Every key, with blanks, comments, a byte order mark and no end of the last line. */
static void test_budget_keys(void **state)
{
        struct fixture *f = *state;
        const struct budget *budget;

        put(f, ETC "50-a.budget",
                        "\xef\xbb\xbf# comment\n; another\n\n  [Match]\n\tCgroup = /a  \nUser=0 !1\nUnit=*.service "
                        "!b*\n"
                        "[Budget] ; limits\nHigh=64M\n  Max=128M\nFootprintRatioHigh=250%\nMapsMax=10\n"
                        "ProgramsMax=0\nOnHigh=throttle\nOnMax=deny\nAttribution=holder\nCount=committed\nUnbounded="
                        "allow\nClearPercent=80%");
        assert_loads(f, "");
        assert_int_equal(f->config.count, 1);
        budget = &f->config.budgets[0];
        assert_string_equal(budget->name, "50-a");
        assert_string_equal(budget->file + strlen(f->root), "/" ETC "50-a.budget");
        assert_int_equal(budget->cgroups.count, 1);
        assert_string_equal(budget->cgroups.list[0].glob, "/a");
        assert_int_equal(budget->users.count, 2);
        assert_int_equal(budget->uids[1], 1);
        assert_true(budget->users.list[1].exclude);
        assert_int_equal(budget->units.count, 2);
        assert_int_equal(budget->high, 64 * MIB);
        assert_int_equal(budget->max, 128 * MIB);
        assert_int_equal(budget->footprint_ratio_high, 250);
        assert_int_equal(budget->maps_max, 10);
        assert_int_equal(budget->programs_max, 0);
        assert_int_equal(budget->on_high, ACTION_THROTTLE);
        assert_int_equal(budget->on_max, ACTION_DENY);
        assert_int_equal(budget->attribution, BUDGET_HOLDER);
        assert_int_equal(budget->count, COUNT_COMMITTED);
        assert_int_equal(budget->unbounded, UNBOUNDED_ALLOW);
        assert_int_equal(budget->clear_percent, 80);
}

static void test_settings_keys(void **state)
{
        struct fixture *f = *state;
        const struct settings *settings = &f->config.settings;

        put(f, ETC CONF,
                        "[Daemon]\nPollSec=200ms\nAlertIntervalSec=2min\nAlertBurst=3\nThrottleMaxSec=1.5s\n"
                        "NeverThrottle=/a /b\nNeverThrottle=!/c\nMaxCgroups=5000\nFailMode=closed\nStrict=Yes\n"
                        "MetricsListen=/m\nMetricsCgroupsMax=7\nMetricsMapsMax=8\n");
        assert_loads(f, "");
        assert_int_equal(settings->poll_usec, 200000);
        assert_int_equal(settings->alert_interval_usec, 120000000);
        assert_int_equal(settings->alert_burst, 3);
        assert_int_equal(settings->throttle_max_usec, 1500000);
        assert_int_equal(settings->never_throttle.count, 3);
        assert_int_equal(settings->cgroups_max, 5000);
        assert_true(settings->fail_closed);
        assert_true(settings->strict);
        assert_string_equal(settings->metrics_listen.text, "/m");
        assert_int_equal(settings->metrics_cgroups_max, 7);
        assert_int_equal(settings->metrics_maps_max, 8);
}

static void test_times(void **state)
{
        static const struct {
                const char *text;
                uint64_t usec;
        } cases[] = {
                { "5", 5000000 },
                { "5s", 5000000 },
                { "5sec", 5000000 },
                { "200ms", 200000 },
                { "1h", 3600000000 },
                { "2m", 120000000 },
                { "0", 0 },
                { "100000us", 100000 },
                { "", 5000000 },
                { "0.5min", 30000000 },
                { "1min 30s", 90000000 },
                { "1min30s", 90000000 },
                { "1 min 30 sec", 90000000 },
                { "30s 1min", 90000000 },
                { "1min\t 30", 90000000 },
                { "1m 1s 500ms 250us", 61500250 },
                { "0.5h 10minutes", 2400000000 },
                { "0.01d", 864000000 },
                { "2 msec 999998usec", 1001998 },
                { "1hour", 3600000000 },
                { "1hr", 3600000000 },
                { "0.001week", 604800000 },
                { "0.001M", 2629800000 },
                { "0.0001y", 3155760000 },
                { "500000\xc2\xb5s", 500000 },
                { "500000\xce\xbcs", 500000 },
        };
        struct fixture *f = *state;

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                char text[64];

                snprintf(text, sizeof(text), "[Daemon]\nPollSec=7\nPollSec=\nPollSec=%s\n", cases[i].text);
                put(f, ETC CONF, text);
                assert_loads(f, "");
                assert_int_equal(f->config.settings.poll_usec, cases[i].usec);
        }
}

static void test_booleans(void **state)
{
        static const char *const words[] = { "no", "yes", "false", "true", "0", "1", "off", "on" };
        struct fixture *f = *state;

        for (size_t i = 0; i < ELEMENTSOF(words); i++) {
                char text[64];

                snprintf(text, sizeof(text), "[Daemon]\nStrict=%s\n", words[i]);
                put(f, ETC CONF, text);
                assert_loads(f, "");
                assert_int_equal(f->config.settings.strict, i % 2);
        }
}

static void test_empty_value_resets(void **state)
{
        struct fixture *f = *state;

        put(f, ETC "a.budget",
                        "[Match]\nCgroup=/x\nCgroup=\nCgroup=/a\nUnit=x.service\nUnit=\nUser=5\nUser=\n"
                        "[Budget]\nHigh=1M\nHigh=\nMax=5K\nClearPercent=5\nClearPercent=\n");
        assert_loads(f, "");
        assert_match(f, "/a", "a");
        assert_match(f, "/x", NULL);
        assert_true(f->config.budgets[0].high == BUDGET_INFINITY);
        assert_int_equal(f->config.budgets[0].clear_percent, BUDGET_CLEAR_PERCENT);
}

static void test_warnings(void **state)
{
        struct fixture *f = *state;

        put(f, ETC "a.budget", "[Match]\nUser=no-such-user\n[Budget]\nHigh=64\n");
        /* clang-format off */
        assert_loads(f,
                ETC "a.budget:2: warning: User=no-such-user is no user here and matches nobody: "
                                        "make the user, then reload\n"
                ETC "a.budget:4: warning: High=64 has no unit and is taken as bytes: "
                                        "write High=64M if megabytes are meant\n");
        /* clang-format on */
        assert_match(f, "/a", NULL);
        assert_int_equal(f->config.budgets[0].high, 64);
}

static void test_bad_budgets(void **state)
{
        struct fixture *f = *state;

        for (size_t i = 0; i < ELEMENTSOF(bad_budgets); i++) {
                char told[512];

                snprintf(told, sizeof(told), ETC "x.budget:%s\n", bad_budgets[i].told);
                put(f, ETC "x.budget", bad_budgets[i].text);
                assert_refused(f, told);
        }
}

static void test_bad_settings(void **state)
{
        static const char *const names[] = { LIB CONF, ETC CONF ".d/x.conf" };
        struct fixture *f = *state;

        for (size_t n = 0; n < ELEMENTSOF(names); n++) {
                for (size_t i = 0; i < ELEMENTSOF(bad_settings); i++) {
                        char told[512];

                        snprintf(told, sizeof(told), "%s:%s\n", names[n], bad_settings[i].told);
                        put(f, names[n], bad_settings[i].text);
                        assert_refused(f, told);
                }
                assert_int_equal(unlink(path_of(f, names[n])), 0);
        }
}

static void test_sixty_broken_files(void **state)
{
        struct fixture *f = *state;

        for (size_t i = 0; i < 60; i++) {
                char name[64];

                snprintf(name, sizeof(name), ETC "%02zu.budget", i);
                put(f, name, bad_budgets[i].text);
        }
        assert_int_equal(load_from(f, false), -EINVAL);
        assert_true(f->count >= 60);
        for (size_t i = 0; i < 60; i++) {
                char start[64];

                snprintf(start, sizeof(start), ETC "%02zu.budget:", i);
                assert_non_null(strstr(f->told, start));
        }
}

static void test_ram_is_not_known(void **state)
{
        struct fixture *f = *state;
        struct config_machine machine = { 0 };

        put(f, "x.budget", MATCH_A "High=5%\n");
        assert_int_equal(config_load(&f->config, "", f->root, &machine, record, f), -EINVAL);
        fflush(f->stream);
        assert_string_equal(f->told,
                        "x.budget:4: High=5% cannot be computed, as the size of RAM is not known: " SIZE_EXPECTED "\n");
}

/* Sizes in percent are of this: what the kernel counts, in bytes. */
static void test_ram(void **state)
{
        struct sysinfo info;

        (void) state;
        assert_int_equal(sysinfo(&info), 0);
        assert_int_equal(config_read_ram(), (uint64_t) info.totalram * info.mem_unit);
}

/* The smallest and the largest value of each key, and what is next to them. */
static void test_bounds(void **state)
{
        static const struct {
                const char *key;
                const char *taken[4], *refused[4];
                bool budget;
        } cases[] = {
                { "FootprintRatioHigh", { "1%", "1000000%", "infinity" }, { "0%", "1000001%", "-1%" }, true },
                { "MapFillHigh", { "1%", "100%", "infinity" }, { "0%", "101%", "-1%" }, true },
                { "MapsMax", { "0", "4294967295", "infinity" }, { "4294967296", "-1", "1.5" }, true },
                { "ProgramsMax", { "0", "4294967295", "infinity" }, { "4294967296", "-1", "1.5" }, true },
                { "ClearPercent", { "1", "100%" }, { "0", "101", "101%" }, true },
                { "High", { "0", "100%", "9223372036854775807", "infinity" }, { "9223372036854775808", "101%", "-1" },
                                true },
                { "Max", { "0", "100%", "8388607T", "infinity" }, { "8388608T", "101%", "-1" }, true },
                { "PollSec", { "0", "100ms", "1h", "3600" }, { "99999us", "1us", "3600.001s", "-1" }, false },
                { "AlertIntervalSec", { "0", "1us", "24h", "86400" }, { "86400001ms", "25h", "-1" }, false },
                { "AlertBurst", { "1", "4294967295" }, { "0", "4294967296" }, false },
                { "ThrottleMaxSec", { "0", "1us", "60", "1min" }, { "60000001us", "2min" }, false },
                { "MaxCgroups", { "0", "1", "1048576" }, { "1048577", "-1" }, false },
        };
        struct fixture *f = *state;
        char text[256];

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                for (size_t k = 0; k < 2 * ELEMENTSOF(cases[i].taken); k++) {
                        bool taken = k < ELEMENTSOF(cases[i].taken);
                        const char *value = taken ? cases[i].taken[k]
                                                  : cases[i].refused[k - ELEMENTSOF(cases[i].taken)];

                        if (!value)
                                continue;
                        snprintf(text, sizeof(text), "%s%s=%s\n", cases[i].budget ? MATCH_A : "[Daemon]\n",
                                        cases[i].key, value);
                        put(f, cases[i].budget ? ETC "a.budget" : ETC CONF, text);
                        if (load_from(f, false) != (taken ? 0 : -EINVAL))
                                fail_msg("%s=%s is %s", cases[i].key, value, taken ? "refused" : "taken");
                        unlink(path_of(f, cases[i].budget ? ETC "a.budget" : ETC CONF));
                }
}

/* Below 4096 a number without a unit is hardly meant. */
static void test_suspicious_sizes(void **state)
{
        struct fixture *f = *state;

        put(f, ETC "a.budget", MATCH_A "High=4096\n");
        assert_loads(f, "");
        put(f, ETC "a.budget", MATCH_A "High=0\n");
        assert_loads(f, "");
        put(f, ETC "a.budget", MATCH_A "High=4095\n");
        assert_loads(f, ETC "a.budget:4: warning: High=4095 has no unit and is taken as bytes: "
                            "write High=4095M if megabytes are meant\n");
        put(f, ETC "a.budget", MATCH_A "High=3K\n");
        assert_loads(f, "");
}

/* In numbers, as the manuals have them. */
static void test_default_numbers(void **state)
{
        struct fixture *f = *state;

        put(f, ETC "a.budget", MATCH_A);
        assert_loads(f, "");
        assert_int_equal(f->config.budgets[0].clear_percent, 90);
        assert_int_equal(f->config.settings.poll_usec, 5000000);
        assert_int_equal(f->config.settings.alert_interval_usec, 60000000);
        assert_int_equal(f->config.settings.alert_burst, 8);
        assert_int_equal(f->config.settings.throttle_max_usec, 2000000);
        assert_int_equal(f->config.settings.cgroups_max, 0);
        assert_false(f->config.settings.fail_closed);
        assert_false(f->config.settings.strict);
}

/* Each says what was probably meant. */
static void test_doubts(void **state)
{
#define NO_HIGH "OnHigh=throttle does nothing without High=: set the limit to throttle above"
#define NO_MAX  "OnMax=deny does nothing without Max=, MapsMax= or ProgramsMax=: set the limit to refuse past"
#define BLANKS  "separate globs by blanks (/a /b)"
        static const struct {
                const char *text, *told; /* NULL: nothing */
        } cases[] = {
                { MATCH_A "OnMax=deny\n", "4: warning: " NO_MAX },
                { MATCH_A "OnMax=deny\nMax=infinity\nHigh=1M\n", "4: warning: " NO_MAX },
                { MATCH_A "OnMax=deny\nMax=0\n" },
                { MATCH_A "OnMax=deny\nMapsMax=1\n" },
                { MATCH_A "ProgramsMax=1\nOnMax=deny\n" },
                { MATCH_A "OnMax=deny\nOnMax=\n" },
                { MATCH_A "OnHigh=throttle\n", "4: warning: " NO_HIGH },
                { MATCH_A "Max=1M\nOnHigh=throttle\nFootprintRatioHigh=5%\n", "5: warning: " NO_HIGH },
                { MATCH_A "OnHigh=throttle\nHigh=0\n" },
                { MATCH_A "Unbounded=allow\nCount=charged\n",
                                "4: warning: Unbounded=allow does nothing without Count=committed: maps without a "
                                "ceiling are refused only with it" },
                { MATCH_A "Unbounded=allow\nCount=committed\n" },
                { MATCH_A "Unbounded=refuse\n" },
                { "[Match]\nCgroup=/a,/b\n", "2: warning: Cgroup=/a,/b is one glob: " BLANKS },
                { "[Match]\nCgroup=/a, /b\n", "2: warning: Cgroup=/a, is one glob: " BLANKS },
                { "[Match]\nCgroup=/c !/a;/b\n", "2: warning: Cgroup=!/a;/b is one glob: " BLANKS },
                { "[Match]\nCgroup=/a|/b\n", "2: warning: Cgroup=/a|/b is one glob: " BLANKS },
                { "[Match]\nCgroup=/a,!/b\n", "2: warning: Cgroup=/a,!/b is one glob: " BLANKS },
                { "[Match]\nCgroup=/{a,b}\n",
                                "2: warning: Cgroup=/{a,b} is one glob: braces stand for themselves, write two globs "
                                "with a blank between them (/a /b)" },
                { "[Match]\nCgroup=/a,b /{ab} /c;d\n" },
                { "[Match]\nUnit=a.service,b.service\n",
                                "2: warning: Unit=a.service,b.service is one glob: separate globs by blanks (a.service "
                                "b.service)" },
                { "[Match]\nUnit={a,b}.service\n",
                                "2: warning: Unit={a,b}.service is one glob: braces stand for themselves, write two "
                                "globs with a blank between them (a.service b.service)" },
                { "[Match]\nUnit=\"a*\"\n", "2: warning: Unit=\"a*\" is one glob: leave the quotes out" },
                { "[Match]\nUser=root,daemon\n",
                                "2: warning: User=root,daemon is no user here and matches nobody: separate users by "
                                "blanks" },
                { MATCH_A "High=1M\nHigh=2M\n",
                                "5: warning: High=2M overrides High=1M in line 4: remove one of the two" },
                { MATCH_A "Count=charged\n[Budget]\nCount=charged\n",
                                "6: warning: Count=charged overrides Count=charged in line 4: remove one of the two" },
                { MATCH_A "High=1M\nHigh=\nHigh=2M\n[Match]\nCgroup=/b\nCgroup=/c\n" },
        };
        struct fixture *f = *state;

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                char told[512] = "";

                if (cases[i].told)
                        snprintf(told, sizeof(told), ETC "x.budget:%s\n", cases[i].told);
                put(f, ETC "x.budget", cases[i].text);
                assert_loads(f, told);
        }
        unlink(path_of(f, ETC "x.budget"));
        put(f, ETC CONF, "[Daemon]\nPollSec=1\nPollSec=2\n");
        assert_loads(f, ETC CONF ":3: warning: PollSec=2 overrides PollSec=1 in line 2: remove one of the two\n");
        assert_int_equal(f->config.settings.poll_usec, 2000000);
}

/* What the settings have switched off is in doubt where a budget asks for it. */
static void test_doubts_of_settings(void **state)
{
#define IN_CONF " in bpfbudgetd.conf: "
        static const struct {
                const char *settings, *budget, *told;
        } cases[] = {
                { "ThrottleMaxSec=0\n", "High=1M\nOnHigh=throttle\n",
                                "x.budget:5: warning: OnHigh=throttle does nothing with ThrottleMaxSec=0" IN_CONF
                                "set the longest pause there" },
                { "ThrottleMaxSec=0\n", "High=1M\n", NULL },
                { "ThrottleMaxSec=1ms\n", "High=1M\nOnHigh=throttle\n", NULL },
                { "PollSec=0\n", "FootprintRatioHigh=5%\n",
                                "x.budget:4: warning: FootprintRatioHigh= misses changes of RSS with PollSec=0" IN_CONF
                                "no sensor reports RSS, set an interval there" },
                { "PollSec=0\n", "High=1M\nMapFillHigh=90%\n",
                                "x.budget:5: warning: MapFillHigh= misses maps that fill with PollSec=0" IN_CONF
                                "no sensor reports elements, set an interval there" },
                { "PollSec=0\n", "Attribution=holder\n",
                                "x.budget:4: warning: Attribution=holder misses new holders with PollSec=0" IN_CONF
                                "no sensor reports holders, set an interval there" },
                { "PollSec=0\n", "High=1M\nMax=2M\n", NULL },
                { "PollSec=1\n", "FootprintRatioHigh=5%\nMapFillHigh=90%\nAttribution=holder\n", NULL },
                { "NeverThrottle=/a\nNeverThrottle=/b /**\n", "",
                                CONF ":3: warning: NeverThrottle= matches all cgroups, so that OnHigh=throttle does "
                                     "nothing: name those that must not be paused" },
                { "NeverThrottle=/** !/a\n", "", NULL },
                { "NeverThrottle=/*\n", "", NULL },
        };
        struct fixture *f = *state;

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                char text[512];

                snprintf(text, sizeof(text), "[Daemon]\n%s", cases[i].settings);
                put(f, ETC CONF, text);
                snprintf(text, sizeof(text), MATCH_A "%s", cases[i].budget);
                put(f, ETC "x.budget", text);
                snprintf(text, sizeof(text), "%s%s%s", cases[i].told ? ETC : "", cases[i].told ?: "",
                                cases[i].told ? "\n" : "");
                assert_loads(f, text);
        }
}

/* Keys and sections of other programs, as in the files of systemd. */
static void test_extensions(void **state)
{
        struct fixture *f = *state;

        put(f, ETC "a.budget",
                        "X-Top=1\n[Match]\nCgroup=/a\nX-Comment=hello\nX-Comment=hello ; x\n[X-Section]\nnonsense\n"
                        "High=1X\nMax=5M\nCgroup=/b\n[Budget]\nX-=\nHigh=1M\nX-High = 2M\n[X-Budget] x\nHigh=3M\n");
        put(f, ETC CONF, "[Daemon]\nX-PollSec=1x\n[X-Daemon]\nPollSec=9\n");
        assert_loads(f, "");
        assert_int_equal(f->config.budgets[0].high, MIB);
        assert_true(f->config.budgets[0].max == BUDGET_INFINITY);
        assert_int_equal(f->config.budgets[0].cgroups.count, 1);
        assert_default_settings(&f->config.settings);
}

/* Paths that were pasted with the mount point of one hierarchy or another. */
static void test_mount_points(void **state)
{
        static const struct {
                const char *glob, *stripped;
        } cases[] = {
                { "/sys/fs/cgroup/memory/kubepods.slice/*", "/kubepods.slice/*" },
                { "/sys/fs/cgroup/unified/a", "/a" },
                { "/sys/fs/cgroup/systemd/a", "/a" },
                { "/sys/fs/cgroup/a/memory", "/a/memory" },
                { "/sys/fs/cgroup/memoryx", "/memoryx" },
                { "/sys/fs/cgroup/memory*/a", "/memory*/a" },
                { "/sys/fs/cgroup/**", "/**" },
                { "/sys/fs/cgroup", "/" },
                { "/sys/fs/cgroup/", "/" },
                { "/sys/fs/cgroup/memory", "/" },
                { "/sys/fs/cgroups/a", "/sys/fs/cgroups/a" },
                { "/sys/fs", "/sys/fs" },
                { "/a/sys/fs/cgroup/b", "/a/sys/fs/cgroup/b" },
        };
        struct fixture *f = *state;
        char text[256];

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                snprintf(text, sizeof(text), "[Match]\nCgroup=/x !%s %s\n", cases[i].glob, cases[i].glob);
                put(f, ETC "a.budget", text);
                snprintf(text, sizeof(text), "[Daemon]\nNeverThrottle=%s !/y\n", cases[i].glob);
                put(f, ETC CONF, text);
                assert_loads(f, "");
                assert_string_equal(f->config.budgets[0].cgroups.list[1].glob, cases[i].stripped);
                assert_string_equal(f->config.budgets[0].cgroups.list[2].glob, cases[i].stripped);
                assert_string_equal(f->config.settings.never_throttle.list[0].glob, cases[i].stripped);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_budget_defaults),
                TEST(test_budget_keys),
                TEST(test_settings_keys),
                TEST(test_listen),
                TEST(test_listen_warnings),
                TEST(test_times),
                TEST(test_booleans),
                TEST(test_empty_value_resets),
                TEST(test_warnings),
                TEST(test_bad_budgets),
                TEST(test_bad_settings),
                TEST(test_sixty_broken_files),
                TEST(test_ram_is_not_known),
                TEST(test_ram),
                TEST(test_bounds),
                TEST(test_suspicious_sizes),
                TEST(test_default_numbers),
                TEST(test_doubts),
                TEST(test_doubts_of_settings),
                TEST(test_extensions),
                TEST(test_mount_points),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
