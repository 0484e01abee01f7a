/*
 * report.c - messages about files, for people (line, caret, hint) or as JSON lines.
 *
 * Columns count characters, not bytes: the caret is moved by code points. Tabs are shown as one
 * space, so that the caret stands where the text says. A line is shown up to LINE_SHOWN bytes.
 */
#define _GNU_SOURCE /* isatty, fileno */
#include "cli/cli.h"
#include "engine/base/assert.h"
#include <string.h>
#include <unistd.h>

enum { LINE_SHOWN = 160, CARET_MAX = 100 };

static void print_text(const mr_report *report, const mr_message *message, bool is_error);
static void print_line(const mr_report *report, const mr_message *message);
static void print_json(FILE *stream, const mr_message *message, bool is_error);
static const char *color(const mr_report *report, const char *code);
static bool is_start(char byte);

mr_report mr_report_to(FILE *stream, const mr_args *args)
{
    const bool on_terminal = isatty(fileno(stream)) == 1;

    return (mr_report){.stream = stream,
                       .is_json = args->is_json,
                       .is_colored =
                           !args->is_json && (args->color == MR_COLOR_ALWAYS ||
                                              (args->color == MR_COLOR_AUTO && on_terminal))};
}

void mr_report_all(mr_report *report, const mr_topology *topology)
{
    uint32_t count = 0;
    const mr_message *messages = mr_topology_messages(topology, &count);

    for (uint32_t i = 0; i < count; i++) {
        mr_report_message(report, &messages[i]);
    }
}

void mr_report_message(mr_report *report, const mr_message *message)
{
    const bool is_error = !message->is_warning || report->strict;

    MR_ASSERT(message->text != NULL && message->place.file != NULL);
    if (is_error) {
        report->error_count++;
    } else {
        report->warning_count++;
    }
    if (report->is_json) {
        print_json(report->stream, message, is_error);
    } else {
        print_text(report, message, is_error);
    }
}

static void print_text(const mr_report *report, const mr_message *message, bool is_error)
{
    FILE *out = report->stream;
    const char *word = is_error ? "error" : "warning";
    const char *shade = color(report, is_error ? "\033[1;31m" : "\033[1;33m");

    if (message->line != NULL) {
        (void)fprintf(out, "%s%s:%u:%u:%s ", color(report, "\033[1m"), message->place.file,
                      message->place.line, message->place.column, color(report, "\033[0m"));
    } else {
        (void)fprintf(out, "%s%s:%s ", color(report, "\033[1m"), message->place.file,
                      color(report, "\033[0m"));
    }
    if (message->code != 0) {
        (void)fprintf(out, "%s%s[M%04u]:%s %s\n", shade, word, message->code,
                      color(report, "\033[0m"), message->text);
    } else {
        (void)fprintf(out, "%s%s:%s %s\n", shade, word, color(report, "\033[0m"), message->text);
    }
    if (message->line != NULL) {
        print_line(report, message);
    }
    if (message->hint != NULL) {
        (void)fprintf(out, "%shint:%s %s\n", color(report, "\033[1;36m"), color(report, "\033[0m"),
                      message->hint);
    }
}

static void print_line(const mr_report *report, const mr_message *message)
{
    FILE *out = report->stream;
    const char *line = message->line;
    uint32_t characters = 0, marks = message->place.length;
    size_t shown = 0;

    (void)fprintf(out, "%5u | ", message->place.line);
    while (line[shown] != '\0' && (shown < LINE_SHOWN || !is_start(line[shown]))) {
        const unsigned char byte = (unsigned char)line[shown];
        (void)fputc(byte < 0x20 || byte == 0x7f ? ' ' : byte, out);
        characters += is_start(line[shown]) ? 1 : 0;
        shown++;
    }
    (void)fputs(line[shown] != '\0' ? " ...\n" : "\n", out);
    if (message->place.column == 0 || message->place.column > characters + 1) {
        return;
    }
    (void)fprintf(out, "      | %*s%s^", (int)message->place.column - 1, "",
                  color(report, "\033[1;32m"));
    for (uint32_t i = 1; i < marks && i < CARET_MAX && message->place.column + i <= characters;
         i++) {
        (void)fputc('~', out);
    }
    (void)fprintf(out, "%s\n", color(report, "\033[0m"));
}

static void print_json(FILE *stream, const mr_message *message, bool is_error)
{
    (void)fprintf(stream, "{\"file\":");
    mr_report_quoted(stream, message->place.file);
    if (message->line != NULL) {
        (void)fprintf(stream, ",\"line\":%u,\"column\":%u,\"length\":%u", message->place.line,
                      message->place.column, message->place.length);
    }
    (void)fprintf(stream, ",\"severity\":\"%s\"", is_error ? "error" : "warning");
    if (message->code != 0) {
        (void)fprintf(stream, ",\"code\":\"M%04u\"", message->code);
    }
    (void)fprintf(stream, ",\"message\":");
    mr_report_quoted(stream, message->text);
    if (message->hint != NULL) {
        (void)fprintf(stream, ",\"hint\":");
        mr_report_quoted(stream, message->hint);
    }
    (void)fprintf(stream, "}\n");
}

/* The document was UTF-8, so are the messages. */
void mr_report_quoted(FILE *stream, const char *text)
{
    (void)fputc('"', stream);
    for (const char *at = text; *at != '\0'; at++) {
        const unsigned char byte = (unsigned char)*at;
        if (byte == '"' || byte == '\\') {
            (void)fprintf(stream, "\\%c", byte);
        } else if (byte == '\n') {
            (void)fputs("\\n", stream);
        } else if (byte < 0x20) {
            (void)fprintf(stream, "\\u%04x", byte);
        } else {
            (void)fputc(byte, stream);
        }
    }
    (void)fputc('"', stream);
}

static const char *color(const mr_report *report, const char *code)
{
    return report->is_colored ? code : "";
}

/* Whether a byte begins a code point. */
static bool is_start(char byte)
{
    return ((unsigned char)byte & 0xc0) != 0x80;
}
