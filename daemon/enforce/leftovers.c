/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "enforce/leftovers.h"

#include <errno.h>

/* The next domain above that @new has or will have: levels of the configuration before may be gone. */
static uint64_t find_parent(const struct gate *old, const struct gate *new, uint64_t id)
{
        struct gate_domain domain;

        while (id && gate_read_domain(new, id, &domain) < 0) {
                if (gate_read_domain(old, id, &domain) < 0)
                        return 0;
                if (domain.gone)
                        return id;
                id = domain.parent;
        }
        return id;
}

static int carry(const struct gate *old, struct gate *new, uint64_t id)
{
        struct gate_domain domain;

        if (gate_read_domain(old, id, &domain) < 0 || !domain.gone)
                return 0;
        domain.parent = find_parent(old, new, domain.parent);
        return gate_carry_domain(new, id, &domain, gate_is_left(old, id, &domain.path));
}

int leftovers_carry(const struct gate *old, struct gate *new)
{
        uint64_t id = 0;
        int r = 0;

        while (r == 0 && gate_next_domain(old, &id) == 0)
                r = carry(old, new, id);
        return r;
}

uint64_t leftovers_domain(const struct gate *old, uint64_t key)
{
        struct gate_object object;
        struct gate_domain domain;

        if (gate_read_object(old, key, &object) < 0 || gate_read_domain(old, object.domain, &domain) < 0)
                return 0;
        return domain.gone ? object.domain : 0;
}
