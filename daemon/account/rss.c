/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "account/rss.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

/* The sums of a pass over tasks, by cgroup; what had RSS and is not in it any more has none. */
struct rss_sum {
        uint64_t cgroup_id;
        uint64_t bytes[RSS_MEMBERS];
        UT_hash_handle hh;
};

struct rss_pass {
        struct rss_sum *sums; /* uthash */
        uint64_t page_size;
};

static struct rss_sum *get_sum(struct rss_pass *pass, uint64_t id)
{
        struct rss_sum *sum;

        HASH_GET(pass->sums, cgroup_id, id, sum);
        return sum;
}

static int add_record(void *context, const void *data)
{
        const struct rss_record *record = data;
        struct rss_pass *pass = context;
        struct rss_sum *sum = get_sum(pass, record->cgroup_id);

        if (!sum)
                return -ENOMEM;
        for (int i = 0; i < RSS_MEMBERS; i++)
                sum->bytes[i] += record->pages[i] * pass->page_size;
        return 0;
}

/* A cgroup whose RSS changed: it is in the pass, if with no process left. */
static void expect_cgroup(void *context, uint64_t cgroup_id)
{
        get_sum(context, cgroup_id);
}

static int apply(struct rss *rss, struct rss_pass *pass, bool all)
{
        static const uint64_t none[RSS_MEMBERS];
        struct rss_sum *sum, *next;
        int r = 0;

        if (all) {
                struct cgroup *cgroup, *next_cgroup;

                HASH_ITER (hh, rss->tree->by_id, cgroup, next_cgroup)
                        tree_set_rss(rss->tree, cgroup, none);
        }
        HASH_ITER (hh, pass->sums, sum, next) {
                struct cgroup *cgroup = NULL;

                /* A new cgroup without RSS is not worth an entry. */
                if (r == 0 && (memcmp(sum->bytes, none, sizeof(none)) != 0 || tree_find(rss->tree, sum->cgroup_id)))
                        r = tree_get(rss->tree, sum->cgroup_id, &cgroup);
                if (cgroup)
                        tree_set_rss(rss->tree, cgroup, sum->bytes);
                HASH_DEL(pass->sums, sum);
                free(sum);
        }
        return r;
}

/* Drops the sums of a pass that failed: those that it did not come to would be 0. Returns 0. */
static int forget(struct rss_pass *pass)
{
        struct rss_sum *sum, *next;

        HASH_ITER (hh, pass->sums, sum, next) {
                HASH_DEL(pass->sums, sum);
                free(sum);
        }
        return 0;
}

/* Sensors that were detached know nothing of what happened meanwhile. */
static void watch(struct rss *rss)
{
        rss->asked_usec = now_usec();
        if (kernel_tells_rss(rss->kernel))
                return;
        rss->complete = false;
        kernel_watch_rss(rss->kernel, true);
}

int rss_refresh(struct rss *rss, bool *read)
{
        struct rss_pass pass = { .page_size = sysconf(_SC_PAGESIZE) };
        bool all;
        int r, s;

        watch(rss);
        *read = false;
        if (++rss->epoch == 0)
                rss->epoch = 1;
        r = kernel_pop_rss(rss->kernel, rss->epoch, expect_cgroup, &pass);
        /* What was there before the sensors, or was taken for a pass that failed, is in no queue. */
        all = r < 0 || !rss->complete;
        if (r == 0 && !all)
                return 0;
        r = kernel_read_rss(rss->kernel, all ? 0 : rss->epoch, add_record, &pass);
        s = r < 0 ? forget(&pass) : apply(rss, &pass, all);
        rss->complete = r == 0 && s == 0;
        *read = true;
        return r < 0 ? r : s;
}

void rss_init(struct rss *rss, struct tree *tree, struct kernel *kernel)
{
        *rss = (struct rss){ .tree = tree, .kernel = kernel };
}

uint64_t rss_due_usec(const struct rss *rss)
{
        return rss->kernel && kernel_tells_rss(rss->kernel) ? rss->asked_usec + RSS_IDLE_USEC : UINT64_MAX;
}

void rss_rest(struct rss *rss)
{
        if (now_usec() >= rss_due_usec(rss))
                kernel_watch_rss(rss->kernel, false);
}
