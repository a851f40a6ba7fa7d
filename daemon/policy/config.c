/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "policy/files.h"
#include "policy/keys.h"
#include "policy/lines.h"
#include "policy/source.h"

static void budget_deinit(struct budget *budget)
{
        free(budget->name);
        free(budget->file);
        patterns_deinit(&budget->cgroups);
        patterns_deinit(&budget->units);
        patterns_deinit(&budget->users);
        free(budget->uids);
}

void config_deinit(struct config *config)
{
        for (size_t i = 0; i < config->count; i++)
                budget_deinit(&config->budgets[i]);
        free(config->budgets);
        patterns_deinit(&config->settings.never_throttle);
        *config = (struct config){ 0 };
}

/* Where the key @name of [Budget] was given. */
static const struct given *given(const struct source *source, const char *name)
{
        return &source->given[find_key(source->format, "Budget", name) - source->format->keys];
}

/* What only shows when a whole budget has been read. */
static void check_budget(struct source *source, const struct budget *budget)
{
        const struct given *high = given(source, "High"), *max = given(source, "Max");

        if (!source->matched ||
                        (!budget->cgroups.count && !budget->units.count && !budget->users.count && !source->errors))
                report_at(source, 0, true,
                                "[Match] has no Cgroup=, Unit= or User=: say which cgroups the budget is for");
        if (high->line && max->line && budget->high > budget->max && budget->max != BUDGET_INFINITY &&
                        budget->high != BUDGET_INFINITY)
                report_at(source, high->line > max->line ? high->line : max->line, true,
                                "High=%s (line %u) is more than Max=%s (line %u): lower High= or raise Max=",
                                high->text.text, high->line, max->text.text, max->line);
}

static void load_settings(struct loader *loader, const char *file, struct settings *settings)
{
        struct source source = { .loader = loader, .format = &settings_format, .file = file, .target = settings };
        ssize_t size = read_file(loader, file);

        if (size < 0)
                return;
        parse_source(&source, size);
        report_rest(&source);
}

static void load_budget(struct loader *loader, const struct entry *entry, struct config *config)
{
        struct budget *budget = &config->budgets[config->count];
        struct source source = { .loader = loader, .format = &budget_format, .file = entry->file, .target = budget };
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
        parse_source(&source, size);
        check_budget(&source, budget);
        report_rest(&source);
}

static void load_files(struct loader *loader, const struct listing *files, const struct listing *dropins,
                struct config *config)
{
        config->budgets = calloc(files->count + 1, sizeof(*config->budgets));
        if (!config->budgets) {
                loader->error = -ENOMEM;
                return;
        }
        for (size_t i = 0; i < files->count; i++)
                if (strcmp(files->list[i].name, SETTINGS_FILE) == 0)
                        load_settings(loader, files->list[i].file, &config->settings);
        for (size_t i = 0; i < dropins->count && loader->error == 0; i++)
                load_settings(loader, dropins->list[i].file, &config->settings);
        for (size_t i = 0; i < files->count && loader->error == 0; i++)
                if (strcmp(files->list[i].name, SETTINGS_FILE) != 0)
                        load_budget(loader, &files->list[i], config);
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

        *config = (struct config){};
        keys_reset(&settings_format, &config->settings);
        if (!buffer || !value)
                return -ENOMEM;
        list_all(&loader, root, directory, &files, &dropins);
        listing_resolve(&files);
        listing_resolve(&dropins);
        if (loader.error == 0)
                load_files(&loader, &files, &dropins, config);
        if (loader.error == 0 && !loader.failed)
                return 0;
        config_deinit(config);
        return loader.error ?: -EINVAL;
}
