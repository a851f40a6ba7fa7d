/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "kernel/coretypes.h"

/*
 * A kernel with
 *     struct far { int x; };
 *     typedef unsigned int u32;
 *     enum kind { KIND_A = 7 };
 *     struct inner { u32 a; struct far *far; };
 *     struct outer { struct inner inner[3]; volatile enum kind kind; union { u32 b; u64 c; }; };
 *     struct other { struct outer outer; };
 *     typedef void nothing;
 *     unsigned int inner(void);
 */
static struct btf *make_kernel(void)
{
        struct btf *btf = btf__new_empty();
        int integer, wide, far, u32, kind, inner, pointer, array, fickle, choice;

        assert_non_null(btf);
        integer = btf__add_int(btf, "unsigned int", 4, 0);
        wide = btf__add_int(btf, "unsigned long", 8, 0);
        far = btf__add_struct(btf, "far", 4);
        assert_int_equal(btf__add_field(btf, "x", integer, 0, 0), 0);
        /* The pointer comes before what it points to, and what is within after what it is in. */
        pointer = btf__add_ptr(btf, far);
        u32 = btf__add_typedef(btf, "u32", integer);
        array = btf__add_array(btf, integer, u32 + 6, 3);
        fickle = btf__add_volatile(btf, u32 + 5);
        choice = btf__add_union(btf, NULL, 8);
        assert_int_equal(btf__add_field(btf, "b", u32, 0, 0), 0);
        assert_int_equal(btf__add_field(btf, "c", wide, 0, 0), 0);
        assert_int_equal(btf__add_struct(btf, "outer", 64), u32 + 4);
        assert_int_equal(btf__add_field(btf, "inner", array, 0, 0), 0);
        assert_int_equal(btf__add_field(btf, "kind", fickle, 48 * 8, 0), 0);
        assert_int_equal(btf__add_field(btf, "", choice, 56 * 8, 0), 0);
        kind = btf__add_enum(btf, "kind", 4);
        assert_int_equal(kind, u32 + 5);
        assert_int_equal(btf__add_enum_value(btf, "KIND_A", 7), 0);
        inner = btf__add_struct(btf, "inner", 16);
        assert_int_equal(inner, u32 + 6);
        assert_int_equal(btf__add_field(btf, "a", u32, 0, 0), 0);
        assert_int_equal(btf__add_field(btf, "far", pointer, 64, 0), 0);
        assert_true(btf__add_struct(btf, "other", 64) > 0);
        assert_int_equal(btf__add_field(btf, "outer", u32 + 4, 0, 0), 0);
        assert_true(btf__add_typedef(btf, "nothing", 0) > 0);
        assert_true(btf__add_func(btf, "inner", BTF_FUNC_STATIC, btf__add_func_proto(btf, integer)) > 0);
        return btf;
}

/* What core_types_write() makes of the types that an object with the structs @names names. */
static struct btf *reduce(const char *const names[], size_t count)
{
        struct btf *kernel = make_kernel(), *object = btf__new_empty(), *taken;
        char path[CORE_TYPES_PATH_MAX];
        int fd = core_types_open(path);

        assert_true(fd >= 0);
        assert_non_null(object);
        for (size_t i = 0; i < count; i++)
                assert_true(btf__add_struct(object, names[i], 4) > 0);
        assert_int_equal(core_types_write(fd, kernel, object), 0);
        taken = btf__parse(path, NULL);
        assert_non_null(taken);
        close(fd);
        btf__free(object);
        btf__free(kernel);
        return taken;
}

static const struct btf_type *find(const struct btf *btf, const char *name, uint32_t kind)
{
        int id = btf__find_by_name_kind(btf, name, kind);

        return id > 0 ? btf__type_by_id(btf, id) : NULL;
}

static const struct btf_type *member(const struct btf *btf, const struct btf_type *type, size_t i)
{
        return btf__type_by_id(btf, btf_members(type)[i].type);
}

static void test_what_is_within(void **state)
{
        static const char *const names[] = { "outer" };
        struct btf *taken = reduce(names, 1);
        const struct btf_type *outer = find(taken, "outer", BTF_KIND_STRUCT), *array, *inner, *kind, *choice;

        (void) state;
        assert_non_null(outer);
        assert_int_equal(outer->size, 64);
        assert_int_equal(btf_vlen(outer), 3);
        assert_int_equal(btf_member_bit_offset(outer, 1), 48 * 8);
        array = member(taken, outer, 0);
        assert_true(btf_is_array(array));
        assert_int_equal(btf_array(array)->nelems, 3);
        assert_int_equal(btf__resolve_size(taken, btf_members(outer)[0].type), 48);
        inner = btf__type_by_id(taken, btf_array(array)->type);
        assert_ptr_equal(inner, find(taken, "inner", BTF_KIND_STRUCT));
        assert_true(btf_is_int(btf__type_by_id(taken, btf_array(array)->index_type)));
        assert_string_equal(btf__name_by_offset(taken, btf_members(inner)[1].name_off), "far");
        assert_int_equal(btf__resolve_size(taken, btf_members(inner)[0].type), 4);
        assert_true(btf_is_volatile(member(taken, outer, 1)));
        kind = btf__type_by_id(taken, member(taken, outer, 1)->type);
        assert_true(btf_is_enum(kind));
        assert_string_equal(btf__name_by_offset(taken, btf_enum(kind)[0].name_off), "KIND_A");
        assert_int_equal(btf_enum(kind)[0].val, 7);
        choice = member(taken, outer, 2);
        assert_true(btf_is_union(choice));
        assert_int_equal(btf__resolve_size(taken, btf_members(choice)[1].type), 8);
        btf__free(taken);
}

static void test_what_is_omitted(void **state)
{
        static const char *const names[] = { "outer", "missing" };
        struct btf *taken = reduce(names, 2);
        const struct btf_type *inner = find(taken, "inner", BTF_KIND_STRUCT);

        (void) state;
        assert_null(find(taken, "other", BTF_KIND_STRUCT));
        assert_null(find(taken, "missing", BTF_KIND_STRUCT));
        /* Only pointed to. */
        assert_null(find(taken, "far", BTF_KIND_STRUCT));
        assert_non_null(inner);
        assert_true(btf_is_ptr(member(taken, inner, 1)));
        assert_int_equal(member(taken, inner, 1)->type, 0);
        btf__free(taken);
}

static void test_flavours(void **state)
{
        static const char *const names[] = { "far___before62", "inner___new", "inner", "other_" };
        struct btf *taken = reduce(names, 4);

        (void) state;
        assert_non_null(find(taken, "far", BTF_KIND_STRUCT));
        assert_non_null(find(taken, "inner", BTF_KIND_STRUCT));
        assert_null(find(taken, "other", BTF_KIND_STRUCT));
        assert_null(find(taken, "outer", BTF_KIND_STRUCT));
        btf__free(taken);
}

/* Not only structs have names, and what is no type may have the same. */
static void test_kinds(void **state)
{
        static const char *const types[] = { "u32" }, *const numbers[] = { "unsigned long" },
                                 *const enums[] = { "kind" }, *const voids[] = { "nothing" },
                                 *const functions[] = { "inner" };
        struct btf *taken = reduce(types, 1);
        const struct btf_type *type = find(taken, "u32", BTF_KIND_TYPEDEF);

        (void) state;
        assert_int_equal(btf__type_cnt(taken), 3);
        assert_non_null(type);
        assert_true(btf_is_int(btf__type_by_id(taken, type->type)));
        btf__free(taken);
        taken = reduce(numbers, 1);
        assert_int_equal(btf__type_cnt(taken), 2);
        assert_non_null(find(taken, "unsigned long", BTF_KIND_INT));
        btf__free(taken);
        taken = reduce(enums, 1);
        assert_int_equal(btf__type_cnt(taken), 2);
        assert_non_null(find(taken, "kind", BTF_KIND_ENUM));
        btf__free(taken);
        taken = reduce(voids, 1);
        type = find(taken, "nothing", BTF_KIND_TYPEDEF);
        assert_int_equal(btf__type_cnt(taken), 2);
        assert_non_null(type);
        assert_int_equal(type->type, 0);
        btf__free(taken);
        taken = reduce(functions, 1);
        assert_null(find(taken, "inner", BTF_KIND_FUNC));
        assert_non_null(find(taken, "inner", BTF_KIND_STRUCT));
        btf__free(taken);
}

/* What cannot be written is told. */
static void test_no_room(void **state)
{
        struct btf *kernel = make_kernel(), *object = btf__new_empty();
        int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);

        (void) state;
        assert_true(fd >= 0);
        assert_true(btf__add_struct(object, "outer", 4) > 0);
        assert_int_equal(core_types_write(fd, kernel, object), -ENOSPC);
        close(fd);
        btf__free(object);
        btf__free(kernel);
}

static void test_nothing_in_common(void **state)
{
        static const char *const names[] = { "missing" };
        struct btf *taken = reduce(names, 1);

        (void) state;
        assert_int_equal(btf__type_cnt(taken), 1);
        btf__free(taken);
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_what_is_within),
                cmocka_unit_test(test_what_is_omitted),
                cmocka_unit_test(test_flavours),
                cmocka_unit_test(test_kinds),
                cmocka_unit_test(test_no_room),
                cmocka_unit_test(test_nothing_in_common),
        };

        return cmocka_run_group_tests_name("coretypes", tests, NULL, NULL);
}
