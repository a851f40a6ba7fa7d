/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "policy/automaton.h"
#include "policy/budgetcheck.h"
#include "policy/files.h"
#include "policy/keys.h"
#include "policy/lines.h"
#include "policy/source.h"
#include "policy/unitbudgets.h"

void config_deinit(struct config *config)
{
        for (size_t i = 0; i < config->count; i++)
                budget_deinit(&config->budgets[i]);
        free(config->budgets);
        patterns_deinit(&config->settings.never_throttle);
        automaton_free(config->automaton);
        free(config->late);
        *config = (struct config){ 0 };
}

static bool has_match(const struct budget *budget)
{
        return budget->cgroups.count > 0 || budget->units.count > 0 || budget_needs_more_than_path(budget);
}

/* What only shows when a whole budget has been read, of @file and its drop-ins. */
static void check_budget(struct source *source, const struct budget *budget, const char *file)
{
        source->file = file;
        if (!source->matched || (!has_match(budget) && !source->errors))
                report_at(source, 0, true,
                                "[Match] has no Cgroup=, Unit=, User=, Pod= or Container=: say which cgroups the "
                                "budget "
                                "is for");
        check_limits(source, budget);
}

/* Reads @file into the target of @source. */
static void load_file(struct source *source, const char *file)
{
        ssize_t size = read_file(source->loader, file);

        if (size < 0)
                return;
        source->file = file;
        parse_source(source, size);
}

/* Reads the drop-ins of the file @name; of @budget, if that is not NULL. */
static void load_dropins(struct source *source, const struct listing *dropins, const char *name, struct budget *budget)
{
        for (size_t i = 0; i < dropins->count && source->loader->error == 0; i++) {
                if (!is_dropin_of(&dropins->list[i], name))
                        continue;
                load_file(source, dropins->list[i].file);
                if (budget && budget_add_file(budget, dropins->list[i].file) < 0)
                        source->loader->error = -ENOMEM;
        }
}

static void load_settings(struct loader *loader, const struct listing *files, const struct listing *dropins,
                struct settings *settings)
{
        struct source source = { .loader = loader, .format = &settings_format, .target = settings };

        for (size_t i = 0; i < files->count; i++)
                if (strcmp(files->list[i].name, SETTINGS_FILE) == 0)
                        load_file(&source, files->list[i].file);
        load_dropins(&source, dropins, SETTINGS_FILE, NULL);
        check_settings(&source, settings);
        report_rest(&source);
        loader->settings = settings;
}

static void load_budget(
                struct loader *loader, const struct entry *entry, const struct listing *dropins, struct config *config)
{
        struct budget *budget = &config->budgets[config->count];
        struct source source = { .loader = loader, .format = &budget_format, .target = budget };
        ssize_t size = read_file(loader, entry->file);

        if (size < 0)
                return;
        keys_reset(&budget_format, budget);
        config->count++;
        budget->file = strdup(entry->file);
        budget->name = strndup(entry->name, strlen(entry->name) - strlen(BUDGET_SUFFIX));
        if (!budget->file || !budget->name) {
                loader->error = -ENOMEM;
                return;
        }
        source.file = entry->file;
        parse_source(&source, size);
        load_dropins(&source, dropins, entry->name, budget);
        check_budget(&source, budget, entry->file);
        source.file = entry->file;
        report_rest(&source);
}

/*
 * Puts budgets of unit files in front of number @place of @config. What units say is for one unit, and comes with its
 * package as those of the vendor's directory do. Returns 0 or -ENOMEM.
 */
static int insert_units(struct config *config, size_t place, struct unit_budgets *units)
{
        struct budget *budgets = reallocarray(
                        config->budgets, config->count + units->count + 1, sizeof(*config->budgets));

        if (!budgets)
                return -ENOMEM;
        config->budgets = budgets;
        memmove(budgets + place + units->count, budgets + place, (config->count - place) * sizeof(*budgets));
        if (units->count > 0)
                memcpy(budgets + place, units->list, units->count * sizeof(*budgets));
        config->count += units->count;
        units->count = 0;
        return 0;
}

/* Adds the budgets of unit files below @root, behind those of the administrator. */
static void load_units(struct loader *loader, const char *root, size_t place, struct config *config)
{
        _cleanup_(unit_budgets_deinit) struct unit_budgets units = {};
        int r = unit_budgets_load(&units, loader, root);

        if (r == 0)
                r = insert_units(config, place, &units);
        config->units_fingerprint = units.fingerprint;
        if (r < 0)
                loader->error = r;
}

/* Loads those budgets among @files that are the @vendor's, or those that are not. */
static void load_budgets(struct loader *loader, const struct listing *files, const struct listing *dropins, bool vendor,
                struct config *config)
{
        for (size_t i = 0; i < files->count && loader->error == 0; i++)
                if (strcmp(files->list[i].name, SETTINGS_FILE) != 0 && is_vendors(&files->list[i]) == vendor)
                        load_budget(loader, &files->list[i], dropins, config);
}

/* Loads all, the vendor's last; *place is the number of the first one of these, or that of all if there is none. */
static void load_files(struct loader *loader, const struct listing *files, const struct listing *dropins,
                struct config *config, size_t *place)
{
        config->budgets = calloc(files->count + 1, sizeof(*config->budgets));
        if (!config->budgets) {
                loader->error = -ENOMEM;
                return;
        }
        load_settings(loader, files, dropins, &config->settings);
        load_budgets(loader, files, dropins, false, config);
        *place = config->count;
        load_budgets(loader, files, dropins, true, config);
}

/* Makes the automaton of all budgets, and reports which have no room in it, where that matters to anybody. */
static void build_automaton(struct loader *loader, struct config *config)
{
        config->late = calloc(config->count + 1, sizeof(*config->late));
        loader->error = config->late ? automaton_fit(config->budgets, config->count, config->late, &config->automaton)
                                     : -ENOMEM;
        for (size_t i = 0; loader->error == 0 && i < config->count; i++) {
                struct source source = { .loader = loader, .file = config->budgets[i].file };

                if (!config->late[i])
                        continue;
                config->any_late = true;
                if (config->budgets[i].on_max != ACTION_DENY)
                        continue;
                report_at(&source, 0, false,
                                "its patterns make matching too large with those of all budgets: a new cgroup has its "
                                "limits a moment after it is made, not from the start; use fewer \"*\" and \"**\"");
        }
}

uint64_t config_read_ram(void)
{
        return (uint64_t) sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
}

int config_load(struct config *config, const char *root, const char *directory, const struct config_machine *machine,
                config_message_t message, void *context)
{
        _cleanup_free_ char *buffer = malloc(FILE_SIZE_MAX + 1), *value = malloc(LINE_LENGTH_MAX + 1);
        _cleanup_listing_ struct listing files = { 0 }, dropins = { 0 };
        struct loader loader = {
                .machine = machine, .message = message, .context = context, .buffer = buffer, .value = value
        };

        size_t place = 0;

        *config = (struct config){};
        keys_reset(&settings_format, &config->settings);
        if (!buffer || !value)
                return -ENOMEM;
        list_all(&loader, root, directory, &files, &dropins);
        warn_of_strays(&loader, &files, &dropins);
        listing_resolve(&files);
        listing_resolve(&dropins);
        if (loader.error == 0)
                load_files(&loader, &files, &dropins, config, &place);
        if (loader.error == 0 && !directory)
                load_units(&loader, root, place, config);
        if (loader.error == 0 && !loader.failed)
                build_automaton(&loader, config);
        if (loader.error == 0 && !loader.failed)
                return 0;
        config_deinit(config);
        return loader.error ?: -EINVAL;
}
