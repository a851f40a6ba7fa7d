/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "serve/jsontext.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

json_t *text_to_json(const char *text)
{
        _cleanup_free_ char *copy = NULL;
        json_t *json;

        if (!text)
                return json_null();
        json = json_string(text);
        if (json)
                return json;
        copy = strdup(text);
        if (!copy)
                return NULL;
        for (char *c = copy; *c; c++)
                if ((unsigned char) *c >= 0x80)
                        *c = '?';
        return json_string(copy);
}
