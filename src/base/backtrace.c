#include "base/backtrace.h"

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"

#define SECTIONS_MAX 128
#define CHUNK_LEN    256

/* ---- which file ---- */

static bool take_hex(const char **at, uintptr_t *out)
{
    const char *p = *at;

    for (*out = 0;; p++) {
        unsigned digit = *p >= '0' && *p <= '9'   ? (unsigned)(*p - '0')
                         : *p >= 'a' && *p <= 'f' ? (unsigned)(*p - 'a') + 10u
                                                  : 16u;
        if (digit > 15)
            break;
        *out = *out << 4 | digit;
    }
    bool any = p != *at;
    *at = p;
    return any;
}

/* "55d0c0000000-55d0c0012000 r-xp 00003000 fe:01 1234    /usr/bin/fusegate" */
static void take_mapping(const char *line, struct fg_backtrace_frame *frames, size_t len, uintptr_t *base,
                         char file[FG_BACKTRACE_FILE_BYTES])
{
    uintptr_t start, end;
    const char *at = line, *path = strchr(line, '/');

    if (!take_hex(&at, &start) || *at++ != '-' || !take_hex(&at, &end))
        return;
    if (!path) {
        file[0] = '\0';
        return;
    }
    size_t path_len = FG_MIN(strlen(path), (size_t)FG_BACKTRACE_FILE_BYTES - 1);
    if (strncmp(file, path, path_len) != 0 || file[path_len] != '\0') {
        *base = start;
        memcpy(file, path, path_len);
        file[path_len] = '\0';
    }
    for (size_t i = 0; i < len; i++) {
        if (frames[i].address < start || frames[i].address >= end)
            continue;
        frames[i].base = *base;
        memcpy(frames[i].file, file, path_len + 1);
    }
}

static void find_files(struct fg_backtrace_frame *frames, size_t len)
{
    static char buffer[4096], file[FG_BACKTRACE_FILE_BYTES];
    size_t used = 0;
    uintptr_t base = 0;
    int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return;
    file[0] = '\0';
    for (;;) {
        ssize_t n = read(fd, buffer + used, sizeof buffer - 1 - used);
        if (n <= 0)
            break;
        used += (size_t)n;
        buffer[used] = '\0';
        char *line = buffer, *end;
        while ((end = strchr(line, '\n'))) {
            *end = '\0';
            take_mapping(line, frames, len, &base, file);
            line = end + 1;
        }
        used -= (size_t)(line - buffer);
        memmove(buffer, line, used);
        if (used == sizeof buffer - 1)
            used = 0; /* no line is that long */
    }
    close(fd);
}

/* ---- which function ---- */

static bool read_at(int fd, void *out, size_t len, uint64_t at)
{
    return pread(fd, out, len, (off_t)at) == (ssize_t)len;
}

/* The section of symbols: all, or else those that others link to. */
static const ElfW(Shdr) * find_table(const ElfW(Shdr) * sections, size_t len)
{
    const ElfW(Shdr) *table = NULL;

    for (size_t i = 0; i < len; i++)
        if (sections[i].sh_type == SHT_SYMTAB || (sections[i].sh_type == SHT_DYNSYM && !table))
            table = &sections[i];
    return table && table->sh_link < len && table->sh_entsize == sizeof(ElfW(Sym)) ? table : NULL;
}

static void match(struct fg_backtrace_frame *frame, const ElfW(Sym) * entry, bool is_fixed)
{
    uintptr_t at = frame->address - (is_fixed ? 0 : frame->base) - frame->is_return;

    if (at < entry->st_value || at >= entry->st_value + entry->st_size)
        return;
    frame->function_at = entry->st_value;
    frame->name_at = entry->st_name;
    frame->name_offset = at + frame->is_return - entry->st_value;
}

static void scan(int fd, struct fg_backtrace_frame *frames, size_t len, const char *file)
{
    static ElfW(Shdr) sections[SECTIONS_MAX];
    static ElfW(Sym) entries[CHUNK_LEN];
    ElfW(Ehdr) head;

    if (!read_at(fd, &head, sizeof head, 0) || memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 ||
        head.e_shnum > SECTIONS_MAX || head.e_shentsize != sizeof sections[0] ||
        !read_at(fd, sections, head.e_shnum * sizeof sections[0], head.e_shoff))
        return;
    const ElfW(Shdr) *table = find_table(sections, head.e_shnum);
    uint64_t left = table ? table->sh_size / sizeof entries[0] : 0;
    for (uint64_t at = table ? table->sh_offset : 0; left > 0;) {
        size_t some = (size_t)FG_MIN(left, (uint64_t)CHUNK_LEN);
        if (!read_at(fd, entries, some * sizeof entries[0], at))
            return;
        for (size_t e = 0; e < some; e++)
            for (size_t i = 0; i < len && (entries[e].st_info & 0xf) == STT_FUNC && entries[e].st_size > 0; i++)
                if (strcmp(frames[i].file, file) == 0)
                    match(&frames[i], &entries[e], head.e_type == ET_EXEC);
        left -= some;
        at += some * sizeof entries[0];
    }
    for (size_t i = 0; i < len; i++) {
        if (frames[i].name_at == 0 || frames[i].name[0] || strcmp(frames[i].file, file) != 0)
            continue;
        ssize_t n = pread(fd, frames[i].name, sizeof frames[i].name - 1,
                          (off_t)(sections[table->sh_link].sh_offset + frames[i].name_at));
        frames[i].name[n > 0 ? n : 0] = '\0'; /* its own zero comes first, as a rule */
    }
}

void fg_backtrace_find(struct fg_backtrace_frame *frames, size_t len)
{
    for (size_t i = 0; i < len; i++)
        frames[i] = (struct fg_backtrace_frame){.address = frames[i].address, .is_return = frames[i].is_return};
    find_files(frames, len);
    for (size_t i = 0; i < len; i++) {
        bool is_done = frames[i].file[0] == '\0';
        for (size_t j = 0; j < i && !is_done; j++)
            is_done = strcmp(frames[i].file, frames[j].file) == 0;
        int fd = is_done ? -1 : open(frames[i].file, O_RDONLY | O_CLOEXEC);
        if (fd < 0 && !is_done && strstr(frames[i].file, " (deleted)"))
            fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC); /* replaced by its next version */
        if (fd < 0)
            continue;
        scan(fd, frames, len, frames[i].file);
        close(fd);
    }
}

/* ---- the build id ---- */

static int take_note(struct dl_phdr_info *info, size_t size, void *context)
{
    static const char digits[] = "0123456789abcdef";
    char *out = context;
    (void)size;

    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        const char *at = (const char *)info->dlpi_addr + part->p_vaddr, *end = at + part->p_memsz;
        while (part->p_type == PT_NOTE && end - at >= (ptrdiff_t)sizeof(ElfW(Nhdr))) {
            ElfW(Nhdr) note;
            memcpy(&note, at, sizeof note);
            const char *name = at + sizeof note, *id = name + ((note.n_namesz + 3u) & ~3u);
            if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 && memcmp(name, "GNU", 4) == 0) {
                for (size_t b = 0; b < FG_MIN(note.n_descsz, (FG_BUILD_ID_BYTES - 1u) / 2); b++) {
                    *out++ = digits[(unsigned char)id[b] >> 4];
                    *out++ = digits[(unsigned char)id[b] & 15];
                }
                *out = '\0';
                return 1;
            }
            at = id + ((note.n_descsz + 3u) & ~3u);
        }
    }
    return 1; /* the program comes first; libraries are not asked */
}

void fg_backtrace_build_id(char out[FG_BUILD_ID_BYTES])
{
    out[0] = '\0';
    dl_iterate_phdr(take_note, out);
}
