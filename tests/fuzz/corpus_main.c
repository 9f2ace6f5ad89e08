/*
 * corpus_main.c: plays files through a fuzz target, for compilers without libFuzzer.
 *
 * Arguments are files and folders (one level); every file is one input. Prints how many it played;
 * none at all is a failure, because a corpus that is not found tests nothing.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int play_file(const char *path)
{
    struct buf bytes = {0};
    struct kol_error err;
    if (file_read(path, SIZE_MAX / 4, &bytes, &err) != KOL_OK) {
        fprintf(stderr, "%s\n", err.message);
        exit(1);
    }
    /* A copy of the exact size, so that a sanitizer sees a read past the end. */
    uint8_t *exact = malloc(bytes.len ? bytes.len : 1);
    if (bytes.len) {
        memcpy(exact, bytes.ptr, bytes.len);
    }
    LLVMFuzzerTestOneInput(exact, bytes.len);
    free(exact);
    buf_free(&bytes);
    return 1;
}

static int play(const char *path)
{
    struct stat info;
    if (stat(path, &info) == 0 && !S_ISDIR(info.st_mode)) {
        return play_file(path);
    }
    DIR *folder = opendir(path);
    int played = 0;
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        if (entry->d_name[0] != '.') {
            char *file = file_join(path, entry->d_name);
            played += play_file(file);
            free(file);
        }
    }
    if (folder) {
        closedir(folder);
    }
    return played;
}

int main(int argc, char **argv)
{
    int played = 0;
    for (int i = 1; i < argc; i++) {
        played += play(argv[i]);
    }
    printf("%d inputs played\n", played);
    return played == 0;
}
