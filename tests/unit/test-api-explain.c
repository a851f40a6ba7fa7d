/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Explain: of which cgroup, shares, objects, and what it says where the kernel does not say all. */
#include "api-fixture.h"

#include "base/wallclock.h"

static void write_file(struct fixture *f, const char *cgroup, const char *name, const char *content)
{
        char path[160];
        FILE *file;

        snprintf(path, sizeof(path), "%s%s/%s", f->mount, cgroup, name);
        file = fopen(path, "we");
        assert_non_null(file);
        fputs(content, file);
        fclose(file);
}

static int64_t share(json_t *answer, const char *name)
{
        json_t *element;
        size_t i;

        json_array_foreach(json_object_get(answer, "shares"), i, element)
        {
                if (strcmp(text(element, "name"), name) == 0)
                        return number(element, "bytes");
        }
        fail_msg("there is no share %s", name);
        return 0;
}

static void test_explain(void **state)
{
        struct fixture *f = *state;
        json_t *answer, *objects;

        make_cgroup_directory(f, "/a.slice", getuid());
        write_file(f, "/a.slice", "memory.stat", "anon 1000\nkernel 900\nslab 30\n");
        write_file(f, "/a.slice", "memory.current", "2000\n");
        write_file(f, "/a.slice", "memory.max", "max\n");
        /* Twelve maps below it, the largest with the largest number, and two elsewhere. */
        for (uint32_t id = 1; id <= 12; id++)
                put(f, OBJECT_MAP, id, id % 2 ? 3 : 4, "small", 100 + id, 60);
        put(f, OBJECT_MAP, 20, 6, "elsewhere", 5000, 10);
        put(f, OBJECT_MAP, 21, 0, "nobody", 4000, 0);
        /* Not among the ten largest, but nobody is charged for most of it. */
        put(f, OBJECT_MAP, 22, 5, "uncharged", 90, 5);
        answer = ask(f, "Explain", "'cgroup':'/a.slice'");
        assert_int_equal(number(json_object_get(answer, "cgroup"), "id"), 2);
        assert_int_equal(number(answer, "memoryCurrent"), 2000);
        assert_true(json_is_null(json_object_get(answer, "memoryMax")));
        assert_int_equal(number(answer, "bpfCharged"), 12 * 60 + 5);
        assert_int_equal(number(answer, "bpfUncharged"), 12 * 40 + 78 + 85);
        assert_int_equal(share(answer, "bpf"), 12 * 60 + 5);
        assert_int_equal(share(answer, "anon"), 1000);
        assert_int_equal(share(answer, "kernel"), 900 - 725);
        assert_int_equal(share(answer, "slab"), 30);
        for (size_t i = 0; i < json_array_size(json_object_get(answer, "shares")); i++) {
                json_t *element = json_array_get(json_object_get(answer, "shares"), i);

                assert_int_equal(json_is_true(json_object_get(element, "detail")),
                                strcmp(text(element, "name"), "slab") == 0 ||
                                                strcmp(text(element, "name"), "percpu") == 0 ||
                                                strcmp(text(element, "name"), "vmalloc") == 0);
        }
        objects = json_object_get(answer, "objects");
        assert_int_equal(json_array_size(objects), 10);
        for (size_t i = 0; i < 10; i++) {
                assert_int_equal(number(json_array_get(objects, i), "id"), 12 - i);
                assert_true(json_is_array(json_object_get(json_array_get(objects, i), "holders")));
                assert_true(json_is_array(json_object_get(json_array_get(objects, i), "pins")));
                assert_null(json_object_get(json_array_get(objects, i), "usedBy"));
        }
        assert_non_null(strstr(text(answer, "verdict"), "the largest part of that, 85B, is map uncharged (hash)"));
        json_decref(answer);
}

/* The largest of several that are as large: the first one in the list. With all charged there is none. */
static void test_explain_charged(void **state)
{
        struct fixture *f = *state;
        json_t *answer;

        put(f, OBJECT_MAP, 1, 3, "one", 100, 100);
        answer = ask(f, "Explain", "'cgroup':'/a.slice/b.service'");
        assert_non_null(strstr(text(answer, "verdict"), "all of it charged"));
        /* The hierarchy tells nothing of it: there is no such directory. */
        assert_true(json_is_null(json_object_get(answer, "memoryCurrent")));
        json_decref(answer);
        put(f, OBJECT_MAP, 2, 3, "two", 90, 60);
        put(f, OBJECT_MAP, 3, 3, "three", 80, 49);
        put(f, OBJECT_MAP, 4, 3, "four", 70, 40);
        answer = ask(f, "Explain", "'cgroup':'/a.slice/b.service'");
        assert_non_null(strstr(text(answer, "verdict"), "31B, is map three"));
        json_decref(answer);
}

/* What a cgroup is charged for is in its memory, also where a budget counts it as its holder's. */
static void test_explain_held(void **state)
{
        struct fixture *f = *state;
        json_t *answer;

        put(f, OBJECT_MAP, 1, 3, "m", 100, 60);
        put(f, OBJECT_MAP, 2, 6, "n", 10, 7);
        hold(f, 1, 6);
        answer = ask(f, "Explain", "'cgroup':'/a.slice'");
        assert_int_equal(share(answer, "bpf"), 60);
        assert_int_equal(number(answer, "bpfCharged"), 0);
        assert_string_equal(list(answer, "objects", "id"), "");
        answer = ask(f, "Explain", "'cgroup':'/d'");
        assert_int_equal(share(answer, "bpf"), 7);
        assert_int_equal(number(answer, "bpfCharged"), 67);
        assert_string_equal(list(answer, "objects", "id"), "1 2");
}

/* Of a cgroup that is gone the file system would tell of another that has its path now. */
static void test_explain_gone(void **state)
{
        struct fixture *f = *state;
        json_t *answer;

        make_cgroup_directory(f, "/d", getuid());
        write_file(f, "/d", "memory.stat", "anon 1000\n");
        write_file(f, "/d", "memory.current", "2000\n");
        put(f, OBJECT_MAP, 2, 6, "n", 10, 7);
        answer = ask(f, "Explain", "'cgroup':'/d'");
        assert_int_equal(number(answer, "memoryCurrent"), 2000);
        json_decref(answer);
        world.places[5].gone = true;
        tree_check(&f->monitor.tree, cgroup_of(f, 6));
        answer = ask(f, "Explain", "'cgroup':'/d'");
        assert_true(json_is_null(json_object_get(answer, "memoryCurrent")));
        assert_true(json_is_null(json_object_get(answer, "memoryMax")));
        assert_int_equal(share(answer, "anon"), 0);
        assert_int_equal(share(answer, "bpf"), 7);
        json_decref(answer);
}

static void test_explain_unit(void **state)
{
        struct fixture *f = *state;
        json_t *answer;

        put(f, OBJECT_MAP, 1, 5, "m", 100, 60);
        /* The service itself, not what is below it; "b" is short for it. */
        for (int i = 0; i < 2; i++) {
                answer = ask(f, "Explain", "'unit':'%s'", i ? "b" : "b.service");
                assert_string_equal(text(json_object_get(answer, "cgroup"), "path"), "/a.slice/b.service");
                json_decref(answer);
        }
        answer = ask(f, "Explain", "'unit':'a.slice'");
        assert_int_equal(number(json_object_get(answer, "cgroup"), "id"), 2);
        json_decref(answer);
        refuse(f, "Explain", "NoSuchUnit", "{'unit':'a'}", "'unit':'a'");
        refuse(f, "Explain", "NoSuchUnit", "{'unit':'inner'}", "'unit':'inner'");
        refuse(f, "Explain", "NoSuchUnit", "{'unit':'b.servic'}", "'unit':'b.servic'");
        refuse(f, "Explain", "NoSuchUnit", "{'unit':'b.services'}", "'unit':'b.services'");
        refuse(f, "Explain", "NoSuchUnit", "{'unit':''}", "'unit':''");
        /* What a payload calls a unit is none. */
        add_place(40, 1, "/y");
        add_place(41, 40, "/y/user.slice");
        add_place(42, 41, "/y/user.slice/sshd.service");
        add_place(43, 3, "/a.slice/b.service/sshd.service");
        put(f, OBJECT_MAP, 2, 42, "m", 100, 60);
        put(f, OBJECT_MAP, 3, 43, "m", 100, 60);
        refuse(f, "Explain", "NoSuchUnit", "{'unit':'sshd'}", "'unit':'sshd'");
        refuse(f, "Explain", "NoSuchUnit", "{'unit':'user.slice'}", "'unit':'user.slice'");
        refuse(f, "Explain", INVALID, "{'parameter':'cgroup'}", "%s", "");
        refuse(f, "Explain", INVALID, "{'parameter':'unit'}", "'unit':'b','cgroup':'/'");
        refuse(f, "Explain", "InvalidName", BAD_NAME("a", NO_SLASH), "'cgroup':'a'");
        refuse(f, "Explain", "NoSuchCgroup", "{'cgroup':'/x'}", "'cgroup':'/x'");
        /* One that is gone is not the unit any more. */
        world.places[2].gone = true;
        tree_check(&f->monitor.tree, cgroup_of(f, 3));
        refuse(f, "Explain", "NoSuchUnit", "{'unit':'b'}", "'unit':'b'");
}

/* A kernel that does not tell holders: the rest is worth an answer. */
static void test_explain_without_holders(void **state)
{
        struct fixture *f = *state;
        json_t *answer, *object;

        put(f, OBJECT_MAP, 1, 3, "m", 100, 60);
        world.no_holders = true;
        answer = ask(f, "Explain", "'cgroup':'/'");
        object = json_array_get(json_object_get(answer, "objects"), 0);
        assert_int_equal(number(object, "id"), 1);
        assert_null(json_object_get(object, "holders"));
        assert_true(json_is_array(json_object_get(object, "pins")));
        json_decref(answer);
}

/* Those of the subtree, the latest first; the ring forgets the oldest. */
static void test_refusals(void **state)
{
        struct fixture *f = *state;
        struct budget_event event = { .kind = EVENT_REFUSAL, .limit = LIMIT_MAX, .max = 7 };
        json_t *answer, *refusals;
        int64_t before = wall_usec(), since;

        put(f, OBJECT_MAP, 1, 3, "m", 100, 60);
        put(f, OBJECT_MAP, 2, 6, "n", 10, 7);
        event.cgroup = cgroup_of(f, 3);
        answer = ask(f, "Explain", "'cgroup':'/a.slice/b.service'");
        since = number(answer, "refusalsSince");
        assert_true(since > 0 && since <= before);
        json_decref(answer);
        for (uint32_t i = 1; i <= REFUSALS_KEPT + 1; i++) {
                event.pid = i;
                api_event(f->api, &event);
        }
        event.grower = cgroup_of(f, 6);
        api_event(f->api, &event);
        answer = ask(f, "Explain", "'cgroup':'/a.slice/b.service'");
        refusals = json_object_get(answer, "refusals");
        assert_int_equal(json_array_size(refusals), REFUSALS_KEPT - 1);
        assert_int_equal(number(json_array_get(refusals, 0), "pid"), REFUSALS_KEPT + 1);
        assert_int_equal(number(json_array_get(refusals, REFUSALS_KEPT - 2), "pid"), 3);
        assert_int_equal(number(json_array_get(refusals, 0), "max"), 7);
        assert_string_equal(text(json_array_get(refusals, 0), "limit"), "Max");
        assert_string_equal(text(json_array_get(refusals, 0), "budgetCgroup"), "/a.slice/b.service");
        assert_true(json_is_array(json_object_get(answer, "memoryEvents")));
        /* Those that it has forgotten were before the first one that it has. */
        assert_true(number(answer, "refusalsSince") >= before);
        assert_true(number(answer, "refusalsSince") <= number(json_array_get(refusals, REFUSALS_KEPT - 2), "time"));
        json_decref(answer);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_explain),
                TEST(test_explain_charged),
                TEST(test_explain_held),
                TEST(test_explain_gone),
                TEST(test_explain_unit),
                TEST(test_explain_without_holders),
                TEST(test_refusals),
        };

        return run_api_tests(tests);
}
