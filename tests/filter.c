// SPDX-License-Identifier: LGPL-2.1-or-later
/* TEST_FILTER=GLOB in the environment: only the tests with such a name are run. In every test program. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

__attribute__((constructor)) void set_test_filter(void);

void set_test_filter(void)
{
        const char *filter = getenv("TEST_FILTER");

        if (filter && *filter)
                cmocka_set_test_filter(filter);
}
