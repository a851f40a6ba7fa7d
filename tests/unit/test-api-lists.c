/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The lists of the API but for that of budgets: filters, order, streams, sizes. */
#include "api-fixture.h"

/* ListCgroups with @parameters has the cgroups with @ids, in this order. */
static void expect_cgroups(struct fixture *f, const char *parameters, const char *ids)
{
        assert_string_equal(list(ask(f, "ListCgroups", "%s", parameters), "cgroups", "id"), ids);
}

/* ListObjects with @parameters has objects whose members @key are @expected, in this order. */
static void expect_objects(struct fixture *f, const char *parameters, const char *key, const char *expected)
{
        assert_string_equal(list(ask(f, "ListObjects", "%s", parameters), "objects", key), expected);
}

static void test_list_cgroups(void **state)
{
        struct fixture *f = *state;
        const uint64_t rss[RSS_MEMBERS] = { [RSS_ANON] = 5 };
        struct cgroup *cgroup;

        /* The root is listed in any case. */
        expect_cgroups(f, "", "1");
        put(f, OBJECT_MAP, 1, 3, "m", 100, 100);
        put(f, OBJECT_MAP, 2, 4, "m", 300, 300);
        put(f, OBJECT_MAP, 3, 5, "m", 40, 40);
        /* Largest first: /a.slice 440, c 300, b 140 with inner 40. */
        expect_cgroups(f, "", "1 2 4 3 5");
        expect_cgroups(f, "'minimum':140", "1 2 4 3");
        expect_cgroups(f, "'minimum':141", "1 2 4");
        expect_cgroups(f, "'cgroup':'/a.slice/*'", "4 3");
        expect_cgroups(f, "'cgroup':'/'", "1");
        expect_cgroups(f, "'cgroup':'/sys/fs/cgroup/memory/a.slice/*'", "4 3");
        expect_cgroups(f, "'cgroup':'/sys/fs/cgroup'", "1");
        expect_cgroups(f, "'cgroup':'/x*'", "");
        refuse(f, "ListCgroups", "NoSuchCgroup", "{'cgroup':'/x'}", "'cgroup':'/x'");
        refuse(f, "ListCgroups", "NoSuchCgroup", "{'cgroup':'/x'}", "'cgroup':'/sys/fs/cgroup/memory/x'");
        refuse(f, "ListCgroups", "NoSuchCgroup", "{'cgroup':'a.slice'}", "'cgroup':'a.slice'");
        refuse(f, "ListCgroups", "NoSuchCgroup", "{'cgroup':'a.sl*'}", "'cgroup':'a.sl*'");
        refuse(f, "ListCgroups", "InvalidName", BAD_NAME("/a.slice/", LAST_SLASH), "'cgroup':'/a.slice/'");
        refuse(f, "ListCgroups", "NoSuchCgroup", "{'cgroup':''}", "'cgroup':''");
        /* What nothing can match. */
        refuse(f, "ListCgroups", "InvalidName", BAD_NAME("/[a", OPEN_BRACKET), "'cgroup':'/[a'");
        refuse(f, "ListCgroups", "InvalidName", BAD_NAME("**//a", SLASHES), "'cgroup':'**//a'");
        refuse(f, "ListCgroups", "InvalidName", BAD_NAME("/*/.", DOTS), "'cgroup':'/*/.'");
        refuse(f, "ListObjects", "InvalidName", BAD_NAME("/[a", OPEN_BRACKET), "'cgroup':'/[a'");
        /* One with processes but no objects is, one with neither is not. */
        assert_int_equal(tree_get(&f->monitor.tree, 6, &cgroup), 0);
        expect_cgroups(f, "'cgroup':'/d'", "");
        give_budget(f, 6, 0);
        expect_cgroups(f, "'cgroup':'/d'", "6");
        cgroup->policy = NULL;
        expect_cgroups(f, "'cgroup':'/d'", "");
        tree_set_rss(&f->monitor.tree, cgroup, rss);
        tree_flush(&f->monitor.tree);
        expect_cgroups(f, "'cgroup':'/d'", "6");
        /* States: of those with a budget only. */
        expect_cgroups(f, "'state':'ok'", "");
        give_budget(f, 2, 0);
        give_budget(f, 3, 1)->level = LEVEL_HIGH;
        give_budget(f, 4, 2)->level = LEVEL_MAX;
        expect_cgroups(f, "'state':'ok'", "2");
        expect_cgroups(f, "'state':'high'", "3");
        expect_cgroups(f, "'state':'max'", "4");
        expect_cgroups(f, "'state':'max','minimum':301", "");
        refuse(f, "ListCgroups", INVALID, "{'parameter':'state'}", "'state':'low'");
        refuse(f, "ListCgroups", INVALID, "{'parameter':'minimum'}", "'minimum':-1");
        refuse(f, "ListCgroups", INVALID, "{'parameter':'cgroup'}", "'cgroup':1");
        /* A glob matches no path that is not known. */
        add_place(7, 1, "/nameless");
        world.places[world.place_count - 1].no_path = true;
        put(f, OBJECT_MAP, 9, 7, "m", 1, 1);
        assert_null(cgroup_of(f, 7)->path);
        expect_cgroups(f, "'minimum':1", "1 2 4 3 5 7");
        expect_cgroups(f, "'cgroup':'**','minimum':1", "1 2 4 3 5");
}

static void test_list_objects(void **state)
{
        struct fixture *f = *state;
        json_t *answer, *object;

        put(f, OBJECT_MAP, 1, 3, "abc", 100, 60);
        put(f, OBJECT_PROGRAM, 1, 3, "abd", 300, 300);
        put(f, OBJECT_MAP, 3, 4, "0123456789abcdef", 200, 0);
        put(f, OBJECT_MAP, 4, 0, "nobody", 50, 0);
        answer = ask(f, "ListObjects", "%s", "");
        object = json_array_get(json_object_get(answer, "objects"), 1);
        assert_string_equal(text(object, "kind"), "map");
        assert_string_equal(text(object, "cgroup"), "/a.slice/c.service");
        assert_int_equal(number(object, "uncharged"), 200);
        assert_null(json_object_get(object, "holders"));
        assert_null(json_object_get(object, "pins"));
        assert_null(json_object_get(object, "usedBy"));
        assert_string_equal(list(answer, "objects", "name"), "abd 0123456789abcdef abc nobody");

        expect_objects(f, "'kind':'map'", "id", "3 1 4");
        expect_objects(f, "'kind':'program'", "name", "abd");
        expect_objects(f, "'type':'hash'", "id", "3 1 4");
        expect_objects(f, "'type':'kprobe'", "name", "abd");
        expect_objects(f, "'type':'xdp'", "name", "");
        expect_objects(f, "'type':'netfilter'", "name", "");
        expect_objects(f, "'type':'arena'", "name", "");
        expect_objects(f, "'type':'hash','kind':'map'", "id", "3 1 4");
        refuse(f, "ListObjects", "NoSuchType", "{'type':'has'}", "'type':'has'");
        refuse(f, "ListObjects", "NoSuchType", "{'type':'fooo'}", "'type':'fooo'");
        refuse(f, "ListObjects", "NoSuchType", "{'type':''}", "'type':''");
        refuse(f, "ListObjects", "NoSuchType", "{'type':'hash'}", "'type':'hash','kind':'program'");
        refuse(f, "ListObjects", "NoSuchType", "{'type':'xdp'}", "'type':'xdp','kind':'map'");
        refuse(f, "ListObjects", "NoSuchCgroup", "{'cgroup':'/x'}", "'cgroup':'/x'");
        refuse(f, "ListObjects", "NoSuchCgroup", "{'cgroup':'a.slice'}", "'cgroup':'a.slice'");
        expect_objects(f, "'name':'ab?'", "name", "abd abc");
        expect_objects(f, "'name':'0123456789abcdef'", "id", "3");
        expect_objects(f, "'name':'ab'", "id", "");
        expect_objects(f, "'minimum':200", "name", "abd 0123456789abcdef");
        expect_objects(f, "'minimum':201", "name", "abd");
        expect_objects(f, "'cgroup':'/a.slice/b.service'", "name", "abd abc");
        /* Not of cgroups below. */
        expect_objects(f, "'cgroup':'/a.slice'", "name", "");
        expect_objects(f, "'cgroup':'/'", "name", "nobody");
        refuse(f, "ListObjects", INVALID, "{'parameter':'kind'}", "'kind':'link'");
        refuse(f, "ListObjects", INVALID, "{'parameter':'minimum'}", "'minimum':-1");
        refuse(f, "ListObjects", INVALID, "{'parameter':'holders'}", "'holders':1");
}

/* An object is its holder's where a budget says so: it is looked for there, and not where it is charged. */
static void test_list_held(void **state)
{
        struct fixture *f = *state;

        put(f, OBJECT_MAP, 1, 3, "m", 100, 60);
        put(f, OBJECT_MAP, 2, 6, "n", 10, 10);
        hold(f, 1, 6);
        expect_objects(f, "'cgroup':'/d'", "id", "1 2");
        expect_objects(f, "'cgroup':'/a.slice/**'", "id", "");
}

static void test_relations(void **state)
{
        static const char *const names[] = { "holders", "pins", "uses" };
        struct fixture *f = *state;

        put(f, OBJECT_MAP, 1, 3, "m", 100, 60);
        put(f, OBJECT_PROGRAM, 1, 3, "p", 50, 50);
        for (size_t i = 0; i < 3; i++) {
                json_t *answer = ask(f, "ListObjects", "'%s':true,'%s':false", names[i], names[(i + 1) % 3]);
                json_t *map = json_array_get(json_object_get(answer, "objects"), 0);
                json_t *program = json_array_get(json_object_get(answer, "objects"), 1);

                assert_int_equal(json_is_array(json_object_get(map, "holders")), i == 0);
                assert_int_equal(json_is_array(json_object_get(map, "pins")), i == 1);
                assert_int_equal(json_is_array(json_object_get(map, "usedBy")), i == 2);
                assert_int_equal(json_is_array(json_object_get(program, "maps")), i == 2);
                if (i == 0) {
                        json_t *holder = json_array_get(json_object_get(map, "holders"), 0);

                        assert_int_equal(number(holder, "pid"), getpid());
                        assert_string_equal(text(holder, "cgroup"), "/a.slice/b.service");
                }
                if (i == 2) {
                        json_t *used = json_object_get(map, "usedBy"), *uses = json_object_get(program, "maps");

                        assert_int_equal(json_array_size(used), 1);
                        assert_int_equal(json_array_size(uses), 1);
                }
                json_decref(answer);
        }
        /* In a stream, too. */
        begin_stream(f, f->fd, "ListObjects", "'holders':true,'kind':'map'");
        {
                json_t *reply = receive(f, f->fd);
                json_t *objects = json_object_get(json_object_get(reply, "parameters"), "objects");

                assert_int_equal(json_array_size(json_object_get(json_array_get(objects, 0), "holders")), 1);
                json_decref(reply);
        }
        world.no_holders = true;
        refuse(f, "ListObjects", "NotSupported", "{'reason':'this kernel does not report holders or uses'}",
                        "'holders':true");
        tell(f, "ListObjects", "'uses':true");
}

/* What this process holds is none; of what nobody does, the one reference is not seen. */
static void test_orphans(void **state)
{
        struct fixture *f = *state;
        json_t *answer, *orphan;

        put(f, OBJECT_MAP, 1, 3, "m", 100, 60);
        put(f, OBJECT_MAP, 4000000001, 3, "left", 50, 50);
        answer = ask(f, "ListOrphans", "%s", "");
        assert_int_equal(json_array_size(json_object_get(answer, "orphans")), 0);
        json_decref(answer);
        answer = ask(f, "ListOrphans", "'all':true");
        assert_int_equal(json_array_size(json_object_get(answer, "orphans")), 1);
        orphan = json_array_get(json_object_get(answer, "orphans"), 0);
        assert_string_equal(text(orphan, "name"), "left");
        assert_string_equal(text(orphan, "lastOwner"), "/a.slice/b.service");
        assert_string_equal(text(orphan, "lastUnit"), "b.service");
        assert_true(json_is_false(json_object_get(orphan, "certain")));
        assert_int_equal(number(orphan, "unseen"), 1);
        json_decref(answer);
        /* Others have none, or there are none such; the last owner may be gone. */
        answer = ask(f, "ListOrphans", "'all':true,'cgroup':'/d'");
        assert_int_equal(json_array_size(json_object_get(answer, "orphans")), 0);
        json_decref(answer);
        refuse(f, "ListOrphans", "NoSuchCgroup", "{'cgroup':'/other'}", "'all':true,'cgroup':'/other'");
        refuse(f, "ListOrphans", "InvalidName", BAD_NAME("/[a", OPEN_BRACKET), "'cgroup':'/[a'");
        world.places[2].gone = true;
        answer = ask(f, "ListOrphans", "'cgroup':'/a.slice/b.service'");
        assert_int_equal(json_array_size(json_object_get(answer, "orphans")), 0);
        json_decref(answer);
        world.places[2].gone = false;
        world.no_holders = true;
        refuse(f, "ListOrphans", "NotSupported", "{'reason':'this kernel does not report holders or uses'}", "%s", "");
}

/* Takes a reply of a stream. Returns the elements of @name, and whether more follow. */
static json_t *take_batch(struct fixture *f, const char *name, bool *continues)
{
        json_t *reply = receive(f, f->fd), *elements;

        assert_non_null(reply);
        assert_null(json_object_get(reply, "error"));
        *continues = json_is_true(json_object_get(reply, "continues"));
        elements = json_incref(json_object_get(json_object_get(reply, "parameters"), name));
        json_decref(reply);
        return elements;
}

/* Replies of 64 KiB, each made when the one before is taken: what goes meanwhile is missed, and nothing else. */
static void test_stream(void **state)
{
        struct fixture *f = *state;
        bool continues = true, seen[1001] = {};
        unsigned int replies = 0, missing = 0;

        for (uint32_t id = 1; id <= 1000; id++)
                put(f, OBJECT_MAP, id, 3, "m", 2000 - id, 60);
        begin_stream(f, f->fd, "ListObjects", "%s", "");
        for (; continues; replies++) {
                json_t *batch = take_batch(f, "objects", &continues), *object;
                size_t i, length;
                char *dumped = json_dumps(batch, JSON_COMPACT);

                length = strlen(dumped);
                free(dumped);
                if (continues)
                        assert_in_range(length, 64 * 1024 - 1024, 64 * 1024 + 1024);
                else
                        assert_true(length < 64 * 1024 + 1024);
                json_array_foreach(batch, i, object)
                {
                        assert_false(seen[number(object, "id")]);
                        seen[number(object, "id")] = true;
                }
                json_decref(batch);
                if (replies == 0) {
                        /* Of the last ones every second goes, and one comes with the same id. */
                        for (uint32_t id = 901; id <= 1000; id += 2)
                                assert_true(ledger_remove(&f->monitor.ledger, OBJECT_MAP, id));
                        put(f, OBJECT_PROGRAM, 901, 3, "p", 10, 10);
                }
        }
        assert_true(replies > 3);
        for (uint32_t id = 1; id <= 1000; id++) {
                assert_int_equal(seen[id], id <= 900 || id % 2 == 0);
                missing += !seen[id];
        }
        assert_int_equal(missing, 50);
        assert_null(receive(f, f->fd));
}

/* The only reply of a stream has @count elements of @name. */
static void expect_only_batch(struct fixture *f, const char *name, size_t count)
{
        bool continues;
        json_t *batch = take_batch(f, name, &continues);

        assert_int_equal(json_array_size(batch), count);
        assert_false(continues);
        json_decref(batch);
}

static void test_stream_of_cgroups(void **state)
{
        struct fixture *f = *state;

        put(f, OBJECT_MAP, 1, 3, "m", 100, 60);
        begin_stream(f, f->fd, "ListCgroups", "'minimum':1");
        expect_only_batch(f, "cgroups", 3);
        /* None is an answer, too. */
        begin_stream(f, f->fd, "ListCgroups", "'minimum':1000");
        expect_only_batch(f, "cgroups", 0);
}

/* Without "more" there is one reply, of any size there may be; larger is an error. */
static void test_too_large(void **state)
{
        struct fixture *f = *state;
        json_t *answer;
        uint32_t id = 1;

        for (; id <= 1000; id++)
                put(f, OBJECT_MAP, id, 3, "m", 100, 60);
        answer = ask(f, "ListObjects", "%s", "");
        assert_int_equal(json_array_size(json_object_get(answer, "objects")), 1000);
        json_decref(answer);
        for (; id <= 12000; id++)
                put(f, OBJECT_MAP, id, 4, "m", 100, 60);
        refuse(f, "ListObjects", "ReplyTooLarge", "{}", "%s", "");
        /* What was made for it is no part of the next answer. */
        answer = ask(f, "ListObjects", "'cgroup':'/a.slice/b.service'");
        assert_int_equal(json_array_size(json_object_get(answer, "objects")), 1000);
        json_decref(answer);
}

/* It is made while it is read, and not kept whole until then: what goes meanwhile is missed. */
static void test_one_reply_in_pieces(void **state)
{
        struct fixture *f = *state;
        json_t *reply, *objects;

        for (uint32_t id = 1; id <= 5000; id++)
                put(f, OBJECT_MAP, id, 3, "m", 10000 - id, 60);
        begin_call(f, f->fd, "ListObjects", "%s", "");
        for (uint32_t id = 4001; id <= 5000; id++)
                assert_true(ledger_remove(&f->monitor.ledger, OBJECT_MAP, id));
        reply = receive(f, f->fd);
        assert_non_null(reply);
        assert_null(json_object_get(reply, "continues"));
        objects = json_object_get(json_object_get(reply, "parameters"), "objects");
        assert_int_equal(json_array_size(objects), 4000);
        for (uint32_t id = 1; id <= 4000; id++)
                assert_int_equal(number(json_array_get(objects, id - 1), "id"), id);
        json_decref(reply);
        /* And all of it is gone when nothing is left. */
        begin_call(f, f->fd, "ListObjects", "%s", "'minimum':6000");
        for (uint32_t id = 1; id <= 4000; id++)
                assert_true(ledger_remove(&f->monitor.ledger, OBJECT_MAP, id));
        reply = receive(f, f->fd);
        assert_non_null(reply);
        assert_null(json_object_get(reply, "error"));
        json_decref(reply);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_list_cgroups),
                TEST(test_list_objects),
                TEST(test_list_held),
                TEST(test_relations),
                TEST(test_orphans),
                TEST(test_stream),
                TEST(test_stream_of_cgroups),
                TEST(test_too_large),
                TEST(test_one_reply_in_pieces),
        };

        return run_api_tests(tests);
}
