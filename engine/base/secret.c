/*
 * secret.c - reads secrets from files and the environment.
 *
 * A file is read by its descriptor, not by stdio, whose buffer would keep a copy; what is tested
 * (kind, mode) is the file that is read, not whatever has its name a moment later. Links are
 * followed: orchestrators mount secrets that way.
 */
#define _GNU_SOURCE /* explicit_bzero */
#include "engine/base/secret.h"
#include "engine/base/assert.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct value {
    uint32_t size_bytes;
    char text[MR_SECRET_BYTES_MAX + 2]; /* A newline, and the final NUL. */
} value;

struct mr_secrets {
    mr_memory memory;
    size_t own_bytes;
    uint32_t count;
    value values[];
};

static mr_status read_one(const mr_secret_source *source, value *into, mr_diag *diag);
static mr_status read_env(const mr_secret_source *source, value *into, mr_diag *diag);
static mr_status read_file(const mr_secret_source *source, value *into, mr_diag *diag);
static mr_status read_open(const mr_secret_source *source, int descriptor, value *into,
                           mr_diag *diag);
static mr_status judge(const mr_secret_source *source, const value *read, mr_diag *diag);

mr_status mr_secrets_open(mr_memory memory, const mr_secret_source *sources, uint32_t count,
                          mr_secrets **secrets, mr_diag *diag)
{
    const size_t own_bytes = sizeof(mr_secrets) + count * sizeof(value);
    mr_status status = MR_OK;

    MR_ASSERT(count <= MR_SECRETS_MAX && secrets != NULL);
    *secrets = NULL;
    if (count == 0) {
        return MR_OK;
    }
    mr_secrets *made = memory.type->acquire(memory.self, own_bytes, "secrets");
    if (made == NULL) {
        return mr_diag_set(diag, MR_ERR_MEMORY, 0, "no memory for secrets");
    }
    made->memory = memory;
    made->own_bytes = own_bytes;
    made->count = count;
    for (uint32_t i = 0; i < count && status == MR_OK; i++) {
        status = read_one(&sources[i], &made->values[i], diag);
    }
    if (status != MR_OK) {
        mr_secrets_close(made);
        return status;
    }
    *secrets = made;
    return MR_OK;
}

const char *mr_secret_reveal(const mr_secrets *secrets, uint32_t index)
{
    MR_ASSERT(secrets != NULL && index < secrets->count);
    return secrets->values[index].text;
}

void mr_secrets_close(mr_secrets *secrets)
{
    if (secrets == NULL) {
        return;
    }
    const mr_memory memory = secrets->memory;
    const size_t own_bytes = secrets->own_bytes;
    explicit_bzero(secrets, own_bytes);
    memory.type->release(memory.self, secrets, own_bytes);
}

const char *mr_secret_text(const char *name, char text[MR_SECRET_TEXT_MAX])
{
    (void)snprintf(text, MR_SECRET_TEXT_MAX, "<secret %s>", name);
    return text;
}

static mr_status read_one(const mr_secret_source *source, value *into, mr_diag *diag)
{
    MR_ASSERT((source->file != NULL) != (source->env != NULL));
    const mr_status status =
        source->env != NULL ? read_env(source, into, diag) : read_file(source, into, diag);
    return status == MR_OK ? judge(source, into, diag) : status;
}

static mr_status read_env(const mr_secret_source *source, value *into, mr_diag *diag)
{
    const char *text = getenv(source->env);

    if (text == NULL) {
        return mr_diag_set(diag, MR_ERR_CONFIG, 0,
                           "E_SECRET: <secret %s>: the variable %s is not set: export it for the "
                           "worker",
                           source->name, source->env);
    }
    const size_t size = strlen(text);
    into->size_bytes = size > MR_SECRET_BYTES_MAX ? MR_SECRET_BYTES_MAX + 1 : (uint32_t)size;
    memcpy(into->text, text, into->size_bytes);
    into->text[into->size_bytes] = '\0';
    return MR_OK;
}

static mr_status read_file(const mr_secret_source *source, value *into, mr_diag *diag)
{
    const int descriptor = open(source->file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

    if (descriptor < 0) {
        return mr_diag_set(diag, MR_ERR_CONFIG, 0,
                           "E_SECRET: <secret %s>: %s cannot be opened: %s; make it, readable by "
                           "the worker's user alone",
                           source->name, source->file, strerror(errno));
    }
    const mr_status status = read_open(source, descriptor, into, diag);
    (void)close(descriptor);
    return status;
}

static mr_status read_open(const mr_secret_source *source, int descriptor, value *into,
                           mr_diag *diag)
{
    struct stat found;
    ssize_t size = 0;

    if (fstat(descriptor, &found) != 0 || !S_ISREG(found.st_mode)) {
        return mr_diag_set(diag, MR_ERR_CONFIG, 0, "E_SECRET: <secret %s>: %s is not a file",
                           source->name, source->file);
    }
    if ((found.st_mode & 077) != 0) {
        return mr_diag_set(diag, MR_ERR_CONFIG, 0,
                           "E_SECRET: <secret %s>: others may read %s (mode %03o): chmod 600 it",
                           source->name, source->file, (unsigned)(found.st_mode & 0777));
    }
    do {
        size = read(descriptor, into->text + into->size_bytes,
                    sizeof(into->text) - 1 - into->size_bytes);
        into->size_bytes += size > 0 ? (uint32_t)size : 0;
    } while (size > 0 || (size < 0 && errno == EINTR));
    if (size < 0) {
        return mr_diag_set(diag, MR_ERR_CONFIG, 0, "E_SECRET: <secret %s>: %s cannot be read: %s",
                           source->name, source->file, strerror(errno));
    }
    if (into->size_bytes > 0 && into->text[into->size_bytes - 1] == '\n') {
        into->size_bytes--;
    }
    into->text[into->size_bytes] = '\0';
    return MR_OK;
}

static mr_status judge(const mr_secret_source *source, const value *read, mr_diag *diag)
{
    const char *where = source->env != NULL ? source->env : source->file;

    if (read->size_bytes == 0) {
        return mr_diag_set(diag, MR_ERR_CONFIG, 0, "E_SECRET: <secret %s>: %s is empty",
                           source->name, where);
    }
    if (read->size_bytes > MR_SECRET_BYTES_MAX) {
        return mr_diag_set(diag, MR_ERR_CONFIG, 0, "E_SECRET: <secret %s>: %s is above %d bytes",
                           source->name, where, MR_SECRET_BYTES_MAX);
    }
    if (memchr(read->text, '\0', read->size_bytes) != NULL) {
        return mr_diag_set(diag, MR_ERR_CONFIG, 0,
                           "E_SECRET: <secret %s>: %s holds a NUL, which no password has",
                           source->name, where);
    }
    return MR_OK;
}
