/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The smallest size class of kmalloc(), by the caches that the kernel shows, and without them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cmocka.h>

static const char *fake_machine, *fake_release;

static int fake_uname(struct utsname *name)
{
        strcpy(name->machine, fake_machine);
        strcpy(name->release, fake_release);
        return 0;
}

#define uname(name) fake_uname(name)
#include "kernel/kmalloc.c"
#undef uname

static char directory[] = "/tmp/test-kmalloc-XXXXXX";

static void cache(const char *name, bool there)
{
        char path[64];

        snprintf(path, sizeof(path), "%s/%s", directory, name);
        assert_int_equal(there ? mkdir(path, 0700) : rmdir(path), 0);
}

static void test_caches(void **state)
{
        static const char *const names[] = { "kmalloc-cg-8", "kmalloc-192", "kmalloc-128", "kmalloc-64", "kmalloc-8" };
        static const uint32_t smallest[] = { 128, 128, 128, 64, 8 };

        (void) state;
        fake_machine = "aarch64";
        fake_release = "6.1.0-57-cloud-arm64";
        assert_non_null(mkdtemp(directory));
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
                cache(names[i], true);
                assert_int_equal(kmalloc_smallest(directory), smallest[i]);
        }
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
                cache(names[i], false);
        assert_int_equal(rmdir(directory), 0);
}

static void test_no_caches(void **state)
{
        static const struct {
                const char *machine, *release;
                uint32_t smallest;
        } kernels[] = {
                { "aarch64", "6.1.0-57-cloud-arm64", 128 },
                { "aarch64", "5.15.0", 128 },
                { "aarch64", "6.4.16", 128 },
                { "aarch64", "6.5.0-rc1", 8 },
                { "aarch64", "6.12.118+deb13-cloud-arm64", 8 },
                { "aarch64", "7.0", 8 },
                { "x86_64", "6.1.0", 8 },
                { "aarch64", "unknown", 8 },
        };

        (void) state;
        for (size_t i = 0; i < sizeof(kernels) / sizeof(kernels[0]); i++) {
                fake_machine = kernels[i].machine;
                fake_release = kernels[i].release;
                assert_int_equal(kmalloc_smallest("/nonexistent/slab"), kernels[i].smallest);
        }
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_caches),
                cmocka_unit_test(test_no_caches),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
