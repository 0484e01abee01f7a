/*
 * yaml.c - a YAML 1.2 document as a tree that knows the place of every scalar.
 *
 * libfyaml's events are read and the tree is built here, because a tree of its own would lose the
 * places of empty values, refuse duplicate keys without saying where, and expand aliases. An alias
 * is the very node of its anchor, so a hostile document cannot grow; walks are bounded by the
 * weight, in which a shared node counts each time. Beyond YAML, the language refuses merge keys,
 * tags, several documents, keys that are no scalars, and duplicates (M0103).
 *
 * Limits: 1 MiB, depth 64, 4,096 entries a map or list, 1,024 anchors, weight 100,000.
 */
#include "engine/base/assert.h"
#include "engine/base/utf8.h"
#include "engine/topology/topology_private.h"
#include <libfyaml.h>
#include <string.h>

enum { ANCHORS_MAX = 1024 };

typedef struct entry { /* A child of an open map or list. */
    mr_yaml *node;
    struct entry *next;
} entry;

typedef struct anchor {
    const char *name;
    mr_yaml *node;
    struct anchor *next; /* The one before it; the newest of a name counts. */
} anchor;

typedef struct level { /* An open map or list. */
    mr_yaml *node;
    entry *first, *last;
    uint32_t entry_count; /* Keys and values both. */
} level;

typedef struct reader {
    mr_load *load;
    struct fy_parser *parser;
    struct fy_diag *diag;
    level levels[MR_YAML_DEPTH_MAX];
    uint32_t depth;
    anchor *anchors;
    uint32_t anchor_count;
    mr_yaml *root;
    uint32_t document_count;
    mr_place last; /* Of the last thing read: where an empty value stands. */
    bool failed;
} reader;

static bool text_is_sound(mr_load *load);
static void read_events(reader *r);
static void read_event(reader *r, const struct fy_event *event);
static void read_document(reader *r, const struct fy_event *event);
static void read_scalar(reader *r, const struct fy_event *event);
static void read_alias(reader *r, const struct fy_event *event);
static void open_level(reader *r, const struct fy_event *event);
static void close_level(reader *r);
static void add_node(reader *r, mr_yaml *node);
static mr_yaml *new_node(reader *r, mr_yaml_kind kind, struct fy_token *name,
                         const struct fy_token *tag);
static void close_map(reader *r, mr_yaml *node, const level *from);
static void close_list(reader *r, mr_yaml *node, const level *from);
static void test_duplicate(reader *r, const mr_yaml *map, const mr_yaml_pair *pair);
static void locate_literal(reader *r, mr_yaml *node, const struct fy_mark *start);
static void refuse(reader *r, mr_place place, uint16_t code, const char *text);
static const char *syntax_hint(const char *text);
static uint32_t last_line(const mr_topology_source *source);
static void report_syntax(reader *r);
static mr_place place_of(const reader *r, const struct fy_mark *start, const struct fy_mark *end);

const mr_yaml *mr_yaml_parse(mr_load *load)
{
    reader r = {.load = load};
    struct fy_diag_cfg diag_config;

    MR_ASSERT(load != NULL && load->source->text != NULL);
    if (!text_is_sound(load)) {
        return NULL;
    }
    r.last = (mr_place){.file = load->plan->file, .line = 1, .column = 1, .length = 1};
    fy_diag_cfg_default(&diag_config);
    diag_config.fp = NULL;
    diag_config.level = FYET_ERROR;
    r.diag = fy_diag_create(&diag_config);
    if (r.diag == NULL) {
        load->no_memory = true;
        return NULL;
    }
    fy_diag_set_collect_errors(r.diag, true);
    const struct fy_parse_cfg config = {.flags = FYPCF_QUIET | FYPCF_COLLECT_DIAG |
                                                 FYPCF_DEFAULT_VERSION_1_2 | FYPCF_JSON_NONE |
                                                 FYPCF_ALLOW_DUPLICATE_KEYS,
                                        .diag = r.diag};
    r.parser = fy_parser_create(&config);
    if (r.parser == NULL ||
        fy_parser_set_string(r.parser, load->source->text, load->source->size_bytes) != 0) {
        load->no_memory = true;
    } else {
        read_events(&r);
    }
    fy_parser_destroy(r.parser);
    fy_diag_destroy(r.diag);
    if (r.failed || load->no_memory) {
        return NULL;
    }
    if (r.root == NULL) {
        mr_load_error(load, r.last, 101, "the README shows a first one", "the document is empty");
    }
    return r.root;
}

const mr_yaml *mr_yaml_get(const mr_yaml *map, const char *name)
{
    if (map == NULL || map->kind != MR_YAML_MAP) {
        return NULL;
    }
    for (uint32_t i = 0; i < map->count; i++) {
        if (strcmp(map->pairs[i].key->text, name) == 0) {
            return map->pairs[i].value;
        }
    }
    return NULL;
}

bool mr_yaml_is_null(const mr_yaml *node)
{
    MR_ASSERT(node != NULL);
    return node->kind == MR_YAML_SCALAR && node->style == MR_YAML_PLAIN &&
           (node->size_bytes == 0 || strcmp(node->text, "~") == 0 ||
            strcmp(node->text, "null") == 0);
}

/* Size and encoding, before libfyaml sees a byte. */
static bool text_is_sound(mr_load *load)
{
    const mr_topology_source *source = load->source;
    mr_place place = {.file = load->plan->file, .line = 1, .column = 1, .length = 1};

    if (source->size_bytes > MR_TOPOLOGY_BYTES_MAX) {
        mr_load_error(load, place, 112, NULL, "the document has %u bytes; at most %u are read",
                      source->size_bytes, (unsigned)MR_TOPOLOGY_BYTES_MAX);
        return false;
    }
    const char *line = source->text;
    const char *end = source->text + source->size_bytes;
    while (line < end) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        stop = stop != NULL ? stop : end;
        if (!mr_utf8_valid((const uint8_t *)line, (size_t)(stop - line))) {
            mr_load_error(load, place, 101, "save the file as UTF-8",
                          "not valid YAML: the line is not UTF-8, or holds a NUL");
            return false;
        }
        line = stop + 1;
        place.line++;
    }
    return true;
}

static void read_events(reader *r)
{
    struct fy_event *event = fy_parser_parse(r->parser);

    while (event != NULL) {
        read_event(r, event);
        fy_parser_event_free(r->parser, event);
        event = r->failed || r->load->no_memory ? NULL : fy_parser_parse(r->parser);
    }
    if (!r->failed && fy_parser_get_stream_error(r->parser)) {
        report_syntax(r);
    }
}

static void read_event(reader *r, const struct fy_event *event)
{
    switch (event->type) {
    case FYET_DOCUMENT_START:
        read_document(r, event);
        break;
    case FYET_SCALAR:
        read_scalar(r, event);
        break;
    case FYET_ALIAS:
        read_alias(r, event);
        break;
    case FYET_MAPPING_START:
    case FYET_SEQUENCE_START:
        open_level(r, event);
        break;
    case FYET_MAPPING_END:
    case FYET_SEQUENCE_END:
        close_level(r);
        break;
    default:
        break;
    }
}

static void read_document(reader *r, const struct fy_event *event)
{
    const struct fy_version *version =
        fy_document_state_version(event->document_start.document_state);
    const mr_place place = place_of(r, fy_event_start_mark((struct fy_event *)(uintptr_t)event),
                                    fy_event_end_mark((struct fy_event *)(uintptr_t)event));

    r->document_count++;
    if (r->document_count > 1) {
        refuse(r, place, 101, "a file holds one document; a second one begins here");
    } else if (version != NULL && (version->major != 1 || version->minor != 2)) {
        refuse(r, place, 101, "the document must be YAML 1.2");
    }
}

static void read_scalar(reader *r, const struct fy_event *event)
{
    struct fy_token *value = event->scalar.value;
    mr_yaml *node = new_node(r, MR_YAML_SCALAR, event->scalar.anchor, event->scalar.tag);
    size_t size_bytes = 0;

    if (node == NULL) {
        return;
    }
    if (value == NULL) { /* Nothing stands here: `key:`. */
        node->text = "";
        node->place = r->last;
        node->text_place = r->last;
        add_node(r, node);
        return;
    }
    const struct fy_mark *start = fy_token_start_mark(value);
    const struct fy_mark *end = fy_token_end_mark(value);
    const char *text = fy_token_get_text(value, &size_bytes);
    if (text == NULL || start == NULL || end == NULL) {
        r->load->no_memory = true;
        return;
    }
    node->text = mr_arena_copy(r->load->arena, text, size_bytes);
    node->size_bytes = (uint32_t)size_bytes;
    if (node->text == NULL) {
        r->load->no_memory = true;
        return;
    }
    if (memchr(text, '\0', size_bytes) != NULL) {
        refuse(r, place_of(r, start, end), 101, "not valid YAML: a NUL inside a text");
        return;
    }
    const enum fy_scalar_style style = fy_token_scalar_style(value);
    node->place = place_of(r, start, end);
    node->text_place = node->place;
    node->multi_line = start->line != end->line;
    if (style == FYSS_SINGLE_QUOTED || style == FYSS_DOUBLE_QUOTED) {
        node->style = MR_YAML_QUOTED;
        if (node->place.column > 1) { /* The mark stands behind the quote. */
            node->place.column--;
            node->place.length += node->multi_line ? 1 : 2;
        }
    } else if (style == FYSS_LITERAL || style == FYSS_FOLDED) {
        node->style = style == FYSS_LITERAL ? MR_YAML_LITERAL : MR_YAML_FOLDED;
        locate_literal(r, node, start);
    }
    r->last = node->place;
    add_node(r, node);
}

/* The text of a block starts at its first line, behind the indentation. */
static void locate_literal(reader *r, mr_yaml *node, const struct fy_mark *start)
{
    const mr_topology_source *source = r->load->source;
    const char *end = source->text + source->size_bytes;
    const char *text = node->text;
    const uint32_t line = (uint32_t)start->line + 1;
    uint32_t spaces_inside = 0, spaces = 0;
    const char *at = source->text + start->input_pos;

    MR_ASSERT(start->input_pos <= source->size_bytes);
    while (*text == '\n') { /* Blank lines in front are part of the text. */
        const char *next = memchr(at, '\n', (size_t)(end - at));
        at = next != NULL ? next + 1 : end;
        text++;
    }
    while (text[spaces_inside] == ' ') {
        spaces_inside++;
    }
    while (at + spaces < end && at[spaces] == ' ') {
        spaces++;
    }
    const uint32_t indent = spaces > spaces_inside ? spaces - spaces_inside : 0;
    node->text_place =
        (mr_place){.file = r->load->plan->file, .line = line, .column = indent + 1, .length = 1};
    node->place = node->text_place;
    node->place.line += (uint32_t)(text - node->text);
    node->place.column += spaces_inside;
    const uint32_t rest = (uint32_t)strcspn(text, "\n");
    node->place.length = rest > spaces_inside ? rest - spaces_inside : 1;
}

static void read_alias(reader *r, const struct fy_event *event)
{
    size_t size_bytes = 0;
    const char *name = fy_token_get_text(event->alias.anchor, &size_bytes);
    mr_place place = place_of(r, fy_token_start_mark(event->alias.anchor),
                              fy_token_end_mark(event->alias.anchor));

    if (place.column > 1) { /* The mark stands behind the `*`. */
        place.column--;
        place.length++;
    }
    r->last = place;
    for (anchor *a = r->anchors; a != NULL && name != NULL; a = a->next) {
        if (strlen(a->name) == size_bytes && memcmp(a->name, name, size_bytes) == 0) {
            if (a->node->is_open) {
                refuse(r, place, 116, "the alias stands inside its own anchor");
                return;
            }
            add_node(r, a->node);
            return;
        }
    }
    refuse(r, place, 116, "no anchor of this name stands before the alias");
}

static void open_level(reader *r, const struct fy_event *event)
{
    const bool is_map = event->type == FYET_MAPPING_START;
    struct fy_token *name = is_map ? event->mapping_start.anchor : event->sequence_start.anchor;
    struct fy_token *tag = is_map ? event->mapping_start.tag : event->sequence_start.tag;
    const mr_place place = place_of(r, fy_event_start_mark((struct fy_event *)(uintptr_t)event),
                                    fy_event_end_mark((struct fy_event *)(uintptr_t)event));

    if (r->depth == MR_YAML_DEPTH_MAX) {
        refuse(r, place, 112, "maps and lists are nested more than 64 deep");
        return;
    }
    mr_yaml *node = new_node(r, is_map ? MR_YAML_MAP : MR_YAML_LIST, name, tag);
    if (node == NULL) {
        return;
    }
    node->place = place;
    node->is_open = true;
    r->last = place;
    r->levels[r->depth++] = (level){.node = node};
}

static void close_level(reader *r)
{
    MR_ASSERT(r->depth > 0);
    const level closed = r->levels[--r->depth];
    mr_yaml *node = closed.node;

    if (node->kind == MR_YAML_MAP) {
        close_map(r, node, &closed);
    } else {
        close_list(r, node, &closed);
    }
    node->is_open = false;
    if (node->weight > MR_YAML_WEIGHT_MAX) {
        refuse(r, node->place, 112, "the document is too large when its aliases are followed");
        return;
    }
    add_node(r, node);
}

/* Hands a complete node to the level it stands in, or makes it the root. */
static void add_node(reader *r, mr_yaml *node)
{
    if (r->depth == 0) {
        MR_ASSERT(r->root == NULL || r->failed);
        r->root = node;
        return;
    }
    level *in = &r->levels[r->depth - 1];
    if (in->entry_count == 2 * MR_YAML_ENTRIES_MAX) {
        refuse(r, node->place, 112, "a map or list has too many entries (4096)");
        return;
    }
    entry *added = mr_load_take(r->load, 1, sizeof(entry));
    if (added == NULL) {
        return;
    }
    added->node = node;
    if (in->last != NULL) {
        in->last->next = added;
    } else {
        in->first = added;
    }
    in->last = added;
    in->entry_count++;
    in->node->weight += node->weight;
    if (in->node->weight > MR_YAML_WEIGHT_MAX) {
        in->node->weight = MR_YAML_WEIGHT_MAX + 1;
    }
    if (node->height + 1 > in->node->height) {
        in->node->height = node->height + 1;
    }
    if (in->node->height > MR_YAML_DEPTH_MAX) { /* By aliases. */
        refuse(r, node->place, 112, "maps and lists are nested more than 64 deep");
    }
}

static mr_yaml *new_node(reader *r, mr_yaml_kind kind, struct fy_token *name,
                         const struct fy_token *tag)
{
    mr_yaml *node = mr_load_take(r->load, 1, sizeof(mr_yaml));

    if (node == NULL) {
        return NULL;
    }
    node->kind = kind;
    node->weight = 1;
    if (tag != NULL) {
        struct fy_token *token = (struct fy_token *)(uintptr_t)tag;
        refuse(r, place_of(r, fy_token_start_mark(token), fy_token_end_mark(token)), 101,
               "tags are not part of the topology language");
        return NULL;
    }
    if (name != NULL) {
        size_t size_bytes = 0;
        const char *text = fy_token_get_text(name, &size_bytes);
        if (r->anchor_count++ == ANCHORS_MAX) {
            refuse(r, r->last, 112, "the document has more than 1024 anchors");
            return NULL;
        }
        anchor *a = mr_load_take(r->load, 1, sizeof(anchor));
        if (a == NULL || text == NULL) {
            return NULL;
        }
        a->name = mr_load_print(r->load, "%.*s", (int)size_bytes, text);
        a->node = node;
        a->next = r->anchors;
        r->anchors = a;
    }
    return node;
}

static void close_map(reader *r, mr_yaml *node, const level *from)
{
    MR_ASSERT(from->entry_count % 2 == 0);
    mr_yaml_pair *pairs = mr_load_take(r->load, from->entry_count / 2 + 1, sizeof(mr_yaml_pair));

    if (pairs == NULL) {
        return;
    }
    node->pairs = pairs;
    for (const entry *e = from->first; e != NULL; e = e->next->next) {
        const mr_yaml_pair pair = {.key = e->node, .value = e->next->node};
        if (pair.key->kind != MR_YAML_SCALAR) {
            refuse(r, pair.key->place, 105, "a key must be a name");
            return;
        }
        if (strcmp(pair.key->text, "<<") == 0) {
            refuse(r, pair.key->place, 111, "merge keys (<<) are not YAML 1.2");
            return;
        }
        test_duplicate(r, node, &pair);
        pairs[node->count++] = pair;
    }
}

static void test_duplicate(reader *r, const mr_yaml *map, const mr_yaml_pair *pair)
{
    for (uint32_t i = 0; i < map->count; i++) {
        if (strcmp(map->pairs[i].key->text, pair->key->text) == 0) {
            mr_load_error(r->load, pair->key->place, 103, "take one of them out",
                          "\"%s\" stands in this map already, in line %u", pair->key->text,
                          map->pairs[i].key->place.line);
            return;
        }
    }
}

static void close_list(reader *r, mr_yaml *node, const level *from)
{
    const struct mr_yaml **items =
        mr_load_take(r->load, from->entry_count + 1, sizeof(const struct mr_yaml *));

    if (items == NULL) {
        return;
    }
    for (const entry *e = from->first; e != NULL; e = e->next) {
        items[node->count++] = e->node;
    }
    node->items = items;
}

static void refuse(reader *r, mr_place place, uint16_t code, const char *text)
{
    static const struct {
        uint16_t code;
        const char *start, *hint;
    } hints[] = {
        {101, "a file holds one document", "give each topology a file of its own"},
        {101, "tags are not", "take it out; a text that starts with ! stands in quotes"},
        {111, "", "repeat the keys, or alias whole values (*name)"},
        {112, "",
         "`millrace explain M0112` lists the limits; split the topology, or use fewer aliases"},
        {116, "", "mark the value further up by `&name`"},
    };
    const char *hint = NULL;

    for (size_t i = 0; i < MR_LENGTH(hints) && hint == NULL; i++) {
        if (hints[i].code == code && strncmp(text, hints[i].start, strlen(hints[i].start)) == 0) {
            hint = hints[i].hint;
        }
    }
    mr_load_error(r->load, place, code, hint, "%s", text);
    r->failed = true;
}

/* What mends it; NULL: the text says all. */
static const char *syntax_hint(const char *text)
{
    if (strstr(text, "comma in flow") != NULL) {
        return mr_comma_hint();
    }
    if (strstr(text, "closing quote") != NULL) {
        return "close the quote; a quote inside a text is written twice ('') or \\\"";
    }
    if (strstr(text, "closing bracket") != NULL) {
        return "every [ needs its ], and every { its }; one above is still open";
    }
    return strstr(text, "tab ") != NULL ? "indent by spaces" : NULL;
}

/* The number of the last line that has text. */
static uint32_t last_line(const mr_topology_source *source)
{
    uint32_t lines = 0;

    for (uint32_t i = 0; i < source->size_bytes; i++) {
        lines += source->text[i] == '\n' || i + 1 == source->size_bytes ? 1 : 0;
    }
    return lines;
}

/*
 * The first error that libfyaml collected; some of its texts are said in plainer words. What is not
 * closed is an error at the end of the file: then the place is that of the last thing that was
 * read.
 */
static void report_syntax(reader *r)
{
    static const char *const plain[][2] = {
        {"invalid multiline plain key",
         "a line is indented more than its key allows, lacks its `:`, or is indented by a tab"},
        {"invalid nested block mapping on the same line",
         "a value that holds `: ` or starts a list needs quotes or a line of its own"},
    };
    void *state = NULL;
    const struct fy_diag_error *error = fy_diag_errors_iterate(r->diag, &state);
    mr_place place = r->last;
    const char *text = error != NULL && error->msg != NULL ? error->msg : "cannot be read";

    if (error != NULL && error->line > 0 && error->column > 0 &&
        (uint32_t)error->line <= last_line(r->load->source)) {
        place.line = (uint32_t)error->line;
        place.column = (uint32_t)error->column;
        place.length = 1;
    }
    for (size_t i = 0; i < MR_LENGTH(plain); i++) {
        if (strcmp(text, plain[i][0]) == 0) {
            text = plain[i][1];
        }
    }
    mr_load_error(r->load, place, 101, syntax_hint(text), "not valid YAML: %s", text);
    r->failed = true;
}

/* Marks count from 0. A text over several lines is underlined at its first character only. */
static mr_place place_of(const reader *r, const struct fy_mark *start, const struct fy_mark *end)
{
    if (start == NULL || end == NULL || start->line < 0) {
        return r->last;
    }
    mr_place place = {.file = r->load->plan->file,
                      .line = (uint32_t)start->line + 1,
                      .column = (uint32_t)start->column + 1,
                      .length = 1};
    if (end->line == start->line && end->column > start->column) {
        place.length = (uint32_t)(end->column - start->column);
    }
    return place;
}
