/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Takes out of the linked BPF object argv[1], in place, what only helps to debug it: line numbers with the text of the
 * source lines, which the kernel would keep in memory for each program, and the labels of basic blocks that clang
 * leaves in the symbol table. Types, names of functions and CO-RE relocations stay. It halves the daemon.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/btf.h>
#include <gelf.h>

/* All versions of libbpf 1 export it by this name, whatever their header says (1.1: btf_ext__raw_data()). */
const void *btf_ext__get_raw_data(const struct btf_ext *ext, __u32 *size);

/* The head of .BTF.ext (Documentation/bpf/btf.rst); offsets are from its end. libbpf does not publish it. */
struct ext_header {
        uint16_t magic;
        uint8_t version, flags;
        uint32_t length;
        uint32_t func_offset, func_size;
        uint32_t line_offset, line_size;
        uint32_t core_offset, core_size;
};

static const char *file;

__attribute__((noreturn, format(printf, 1, 2))) static void die(const char *format, ...)
{
        va_list ap;

        fprintf(stderr, "trim-bpf: %s: ", file);
        va_start(ap, format);
        vfprintf(stderr, format, ap);
        va_end(ap);
        fputc('\n', stderr);
        exit(EXIT_FAILURE);
}

static void *allocate(size_t size)
{
        void *memory = calloc(1, size ?: 1);

        if (!memory)
                die("out of memory");
        return memory;
}

/* --- Sections ----------------------------------------------------------------------------------------------------- */

static GElf_Shdr header_of(Elf_Scn *section)
{
        GElf_Shdr header;

        if (!gelf_getshdr(section, &header))
                die("%s", elf_errmsg(-1));
        return header;
}

static Elf_Data *data_of(Elf_Scn *section)
{
        Elf_Data *data = section ? elf_getdata(section, NULL) : NULL;

        if (!data)
                die("a section is missing: %s", elf_errmsg(-1));
        return data;
}

static Elf_Scn *find_section(Elf *elf, size_t names, const char *name)
{
        Elf_Scn *section = NULL;

        while ((section = elf_nextscn(elf, section)))
                if (strcmp(elf_strptr(elf, names, header_of(section).sh_name) ?: "", name) == 0)
                        return section;
        return NULL;
}

/* Gives @section @size bytes of @content instead of what it has, which is not less. */
static void replace(Elf_Scn *section, const void *content, size_t size)
{
        Elf_Data *data = data_of(section);

        if (size > data->d_size)
                die("trimmed it would be larger");
        memcpy(data->d_buf, content, size);
        data->d_size = size;
        elf_flagdata(data, ELF_C_SET, ELF_F_DIRTY);
}

/* --- Line numbers ------------------------------------------------------------------------------------------------- */

/* @ext without the line numbers, which are the middle one of its three parts. */
static void cut_lines(struct ext_header *ext, size_t size)
{
        char *content = (char *) (ext + 1), *lines = content + ext->line_offset;
        size_t end = ext->line_offset + ext->line_size, length = size - sizeof(*ext);

        if (size < sizeof(*ext) || ext->length != sizeof(*ext) || end > length || ext->core_offset < end)
                die(".BTF.ext is laid out in a way that is not known");
        memmove(lines, lines + ext->line_size, length - end);
        ext->core_offset -= ext->line_size;
        ext->line_size = 0;
}

static void trim_types(Elf *elf, size_t names)
{
        Elf_Scn *types = find_section(elf, names, ".BTF"), *more = find_section(elf, names, ".BTF.ext");
        Elf_Data *old = data_of(more), *old_types = data_of(types);
        struct ext_header *head = memcpy(allocate(old->d_size), old->d_buf, old->d_size);
        uint32_t removed = head->line_size, size;
        struct btf_ext *ext;
        struct btf *btf;
        const void *raw;

        cut_lines(head, old->d_size);
        btf = btf__new(old_types->d_buf, old_types->d_size);
        ext = btf_ext__new((void *) head, old->d_size - removed);
        if (!btf || !ext)
                die("its types cannot be read: %s", strerror(errno));
        /* Strings that nothing names any more, the source lines, go with that. */
        if (btf__dedup(btf, &(struct btf_dedup_opts){ .sz = sizeof(struct btf_dedup_opts), .btf_ext = ext }) < 0)
                die("its types cannot be deduplicated: %s", strerror(errno));
        raw = btf__raw_data(btf, &size);
        if (!raw)
                die("out of memory");
        replace(types, raw, size);
        raw = btf_ext__get_raw_data(ext, &size);
        replace(more, raw, size);
        btf_ext__free(ext);
        btf__free(btf);
        free(head);
}

/* --- Symbols ------------------------------------------------------------------------------------------------------ */

/* Which symbols the relocations name. */
static void mark_used(Elf *elf, bool *used, size_t count)
{
        Elf_Scn *section = NULL;

        while ((section = elf_nextscn(elf, section))) {
                GElf_Rel relocation;

                if (header_of(section).sh_type != SHT_REL)
                        continue;
                for (int i = 0; gelf_getrel(data_of(section), i, &relocation); i++) {
                        if (GELF_R_SYM(relocation.r_info) >= count)
                                die("a relocation names no symbol");
                        used[GELF_R_SYM(relocation.r_info)] = true;
                }
        }
}

/* Lets the relocations name the symbols by their new numbers. */
static void renumber(Elf *elf, const uint32_t *numbers)
{
        Elf_Scn *section = NULL;

        while ((section = elf_nextscn(elf, section))) {
                Elf_Data *data;
                GElf_Rel relocation;

                if (header_of(section).sh_type != SHT_REL)
                        continue;
                data = data_of(section);
                for (int i = 0; gelf_getrel(data, i, &relocation); i++) {
                        relocation.r_info = GELF_R_INFO((uint64_t) numbers[GELF_R_SYM(relocation.r_info)],
                                        GELF_R_TYPE(relocation.r_info));
                        if (!gelf_update_rel(data, i, &relocation))
                                die("%s", elf_errmsg(-1));
                }
                elf_flagdata(data, ELF_C_SET, ELF_F_DIRTY);
        }
}

/* Takes out the labels of @symbols that no relocation names. Returns how many symbols stay. */
static size_t trim_symbols(Elf *elf, Elf_Scn *symbols)
{
        Elf_Data *data = data_of(symbols);
        size_t count = data->d_size / sizeof(Elf64_Sym), kept = 0;
        Elf64_Sym *list = memcpy(allocate(data->d_size), data->d_buf, data->d_size);
        uint32_t *numbers = allocate(count * sizeof(*numbers));
        bool *used = allocate(count * sizeof(*used));

        mark_used(elf, used, count);
        for (size_t i = 0; i < count; i++) {
                bool label = ELF64_ST_TYPE(list[i].st_info) == STT_NOTYPE &&
                             ELF64_ST_BIND(list[i].st_info) == STB_LOCAL;

                if (i > 0 && label && !used[i])
                        continue;
                numbers[i] = kept;
                list[kept++] = list[i];
        }
        renumber(elf, numbers);
        replace(symbols, list, kept * sizeof(*list));
        free(list);
        free(numbers);
        free(used);
        return kept;
}

/* --- Names of symbols and sections, which are in one table -------------------------------------------------------- */

struct strings {
        const Elf_Data *old;
        char *table;
        size_t length;
};

/* Moves the name at @offset of the old table to the new one. Returns its offset there. */
static size_t move_name(struct strings *strings, size_t offset)
{
        size_t at = strings->length, length;

        if (offset >= strings->old->d_size)
                die("a name lies outside of the table of names");
        length = strlen((const char *) strings->old->d_buf + offset);
        if (length == 0)
                return 0;
        memcpy(strings->table + at, (const char *) strings->old->d_buf + offset, length + 1);
        strings->length += length + 1;
        return at;
}

static void trim_names(Elf *elf, size_t names, Elf_Scn *symbols, size_t count)
{
        Elf_Scn *section = NULL, *table = elf_getscn(elf, names);
        struct strings strings = { .old = data_of(table), .length = 1 };
        Elf64_Sym *list = data_of(symbols)->d_buf;

        if (header_of(symbols).sh_link != names)
                die("symbols and sections have tables of names of their own");
        /* Names that share their end in the old table do not in the new one. */
        strings.table = allocate(2 * strings.old->d_size);
        for (size_t i = 0; i < count; i++)
                list[i].st_name = move_name(&strings, list[i].st_name);
        while ((section = elf_nextscn(elf, section))) {
                GElf_Shdr header = header_of(section);

                header.sh_name = move_name(&strings, header.sh_name);
                if (!gelf_update_shdr(section, &header))
                        die("%s", elf_errmsg(-1));
        }
        replace(table, strings.table, strings.length);
        free(strings.table);
}

int main(int argc, char *argv[])
{
        Elf_Scn *symbols;
        size_t names;
        Elf *elf;
        int fd;

        if (argc != 2)
                return EXIT_FAILURE;
        file = argv[1];
        fd = open(file, O_RDWR | O_CLOEXEC);
        if (fd < 0)
                die("%s", strerror(errno));
        elf_version(EV_CURRENT);
        elf = elf_begin(fd, ELF_C_RDWR, NULL);
        if (!elf || elf_getshdrstrndx(elf, &names) < 0 || gelf_getclass(elf) != ELFCLASS64)
                die("it is no ELF object: %s", elf_errmsg(-1));
        trim_types(elf, names);
        symbols = find_section(elf, names, ".symtab");
        trim_names(elf, names, symbols, trim_symbols(elf, symbols));
        if (elf_update(elf, ELF_C_WRITE) < 0)
                die("it cannot be written: %s", elf_errmsg(-1));
        elf_end(elf);
        close(fd);
        return EXIT_SUCCESS;
}
