/*
 * status.c - classes and names of statuses, and the story of a failure in a diag.
 *
 * Text is always formatted beside the diag first: an argument may point into the very text that is
 * replaced or moved. A cut never leaves half a UTF-8 sequence. mr_diag_set() also resets the
 * place, so that no place of an older story clings to a new one: who knows the place sets it after.
 */
#include "engine/base/assert.h"
#include <millrace/status.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    FRAMES_MAX = 8,
    TEXT_BYTES_MAX = sizeof((mr_diag){0}.text),
    PRINT_BYTES_MAX = TEXT_BYTES_MAX + 4 /* Shows whether a cut would split a sequence. */
};

static uint32_t print_cut(char text[PRINT_BYTES_MAX], const char *format, va_list arguments)
    __attribute__((format(printf, 2, 0)));
static uint32_t cut(const char *text, uint32_t size_bytes, uint32_t size_bytes_max);

mr_class mr_status_class(mr_status status)
{
    const uint32_t class = (uint32_t)status >> 8;

    MR_ASSERT(class <= (uint32_t)MR_CLASS_FATAL);
    return (mr_class) class;
}

const char *mr_status_name(mr_status status)
{
    switch (status) {
    case MR_OK:
        return "MR_OK";
    case MR_ERR_USAGE:
        return "MR_ERR_USAGE";
    case MR_ERR_CONFIG:
        return "MR_ERR_CONFIG";
    case MR_ERR_TYPE:
        return "MR_ERR_TYPE";
    case MR_ERR_FULL:
        return "MR_ERR_FULL";
    case MR_ERR_UNREACHABLE:
        return "MR_ERR_UNREACHABLE";
    case MR_ERR_TXN_ABORTED:
        return "MR_ERR_TXN_ABORTED";
    case MR_ERR_OUTCOME_UNKNOWN:
        return "MR_ERR_OUTCOME_UNKNOWN";
    case MR_ERR_IO:
        return "MR_ERR_IO";
    case MR_ERR_OVERFLOW:
        return "MR_ERR_OVERFLOW";
    case MR_ERR_FENCED:
        return "MR_ERR_FENCED";
    case MR_ERR_CORRUPT:
        return "MR_ERR_CORRUPT";
    case MR_ERR_MEMORY:
        return "MR_ERR_MEMORY";
    case MR_ERR_LIMIT:
        return "MR_ERR_LIMIT";
    case MR_ERR_FOREIGN_STATE:
        return "MR_ERR_FOREIGN_STATE";
    case MR_ERR_REFUSED:
        return "MR_ERR_REFUSED";
    case MR_ERR_ROW:
        return "MR_ERR_ROW";
    case MR_ERR_PARTITIONS:
        return "MR_ERR_PARTITIONS";
    }
    MR_ASSERT(!"a status of the table");
    return "";
}

mr_status mr_diag_set(mr_diag *diag, mr_status status, uint16_t code, const char *format, ...)
{
    char text[PRINT_BYTES_MAX];
    va_list arguments;

    MR_ASSERT(format != NULL);
    if (diag == NULL) {
        return status;
    }
    va_start(arguments, format);
    const uint32_t size_bytes = print_cut(text, format, arguments);
    va_end(arguments);

    diag->status = status;
    diag->code = code;
    diag->frame_count = 0;
    diag->place = (mr_place){0};
    diag->text_size_bytes = size_bytes;
    memcpy(diag->text, text, size_bytes + 1);
    return status;
}

mr_status mr_diag_frame(mr_diag *diag, mr_status status, const char *format, ...)
{
    char text[PRINT_BYTES_MAX];
    va_list arguments;

    MR_ASSERT(format != NULL);
    if (diag == NULL) {
        return status;
    }
    diag->status = status;
    if (diag->frame_count == FRAMES_MAX) {
        return status;
    }
    MR_ASSERT(diag->frame_count < FRAMES_MAX && diag->text_size_bytes < TEXT_BYTES_MAX);
    va_start(arguments, format);
    uint32_t front = print_cut(text, format, arguments);
    va_end(arguments);
    front = cut(text, front, TEXT_BYTES_MAX - 3);
    memcpy(text + front, ": ", 2);
    front += 2;

    const uint32_t rest = cut(diag->text, diag->text_size_bytes, TEXT_BYTES_MAX - 1 - front);
    memmove(diag->text + front, diag->text, rest);
    memcpy(diag->text, text, front);
    diag->text[front + rest] = '\0';
    diag->text_size_bytes = front + rest;
    diag->frame_count++;
    return status;
}

/* Formats with a final NUL; returns the size, cut to the room. */
static uint32_t print_cut(char text[PRINT_BYTES_MAX], const char *format, va_list arguments)
{
    const int printed = vsnprintf(text, PRINT_BYTES_MAX, format, arguments);

    MR_ASSERT(printed >= 0);
    const uint32_t kept =
        (uint32_t)printed < PRINT_BYTES_MAX ? (uint32_t)printed : PRINT_BYTES_MAX - 1;
    const uint32_t size_bytes = cut(text, kept, TEXT_BYTES_MAX - 1);
    text[size_bytes] = '\0';
    return size_bytes;
}

/* The largest size of whole UTF-8 sequences within `size_bytes_max`. */
static uint32_t cut(const char *text, uint32_t size_bytes, uint32_t size_bytes_max)
{
    if (size_bytes <= size_bytes_max) {
        return size_bytes;
    }
    uint32_t end = size_bytes_max;
    while (end > 0 && ((uint8_t)text[end] & 0xc0) == 0x80) {
        end--;
    }
    return end;
}
