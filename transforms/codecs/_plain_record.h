/* A record: one JSON object, each field of it a value of a column, or one that nobody asked for.
 *
 * A value that does not plainly fit its column is set aside: its cell is null, and its text is kept. */
#ifndef SPARSEWATCH_PLAIN_RECORD_H
#define SPARSEWATCH_PLAIN_RECORD_H

#include "_plain_columns.h"

/* Deepest nesting of values that nobody asked for. */
#define DEEPEST 64
/* Other numbers than those of columns must be of a size that every reader holds: 10**-300 to 10**300. */
#define MOST_EXPONENT 300

/* Memory that grows. */
typedef struct {
    unsigned char *memory;
    size_t size;
    size_t room;
} heap;

/* Values set aside: of each its row, its column and where its text ends in `texts`, as int64. */
typedef struct {
    heap rows;
    heap places;
    heap ends;
    heap texts;
} values_aside;

typedef struct {
    column *columns;
    size_t count;
    /* Places in `columns` by the hash of their keys, `count` where there is none; a power of two of them. */
    size_t *places;
    size_t place_mask;
    /* Column that the last record began with. */
    size_t first;
    /* Records so far, plain or not. */
    size_t rows;
    /* Whether any of them has a field that is no column. */
    bool others;
    /* Places of records that are not plain, int64. */
    heap odd;
    values_aside aside;
} reader;

static bool append(heap *to, const void *bytes, size_t size)
{
    if (to->room - to->size < size) {
        size_t room = 2 * to->room + size + LEAST_ROOM;
        unsigned char *longer = realloc(to->memory, room);
        if (longer == NULL)
            return false;
        to->memory = longer;
        to->room = room;
    }
    memcpy(to->memory + to->size, bytes, size);
    to->size += size;
    return true;
}

static bool append_int64(heap *to, size_t value)
{
    int64_t held = (int64_t)value;
    return append(to, &held, sizeof held);
}

static size_t count_aside(const values_aside *of)
{
    return of->rows.size / sizeof(int64_t);
}

/* Only the first `count` stay. */
static void cut_aside(values_aside *of, size_t count)
{
    int64_t end = 0;
    if (count)
        memcpy(&end, of->ends.memory + (count - 1) * sizeof end, sizeof end);
    of->rows.size = of->places.size = of->ends.size = count * sizeof end;
    of->texts.size = (size_t)end;
}

static inline uint64_t hash_of(cursor key, size_t length)
{
    uint64_t hash = 14695981039346656037u;
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ key[i]) * 1099511628211u;
    return hash ^ hash >> 32;
}

/* Place of the column with this key, without colon; `count` if there is none. */
static size_t find_column(const reader *in, cursor key, size_t length)
{
    for (size_t at = hash_of(key, length) & in->place_mask;; at = (at + 1) & in->place_mask) {
        size_t place = in->places[at];
        if (place == in->count)
            return place;
        if (in->columns[place].key_length == length + 1 && memcmp(in->columns[place].key, key, length) == 0)
            return place;
    }
}

static inline bool has_key(const column *of, cursor p, cursor end)
{
    size_t left = (size_t)(end - p);
    if (left < of->key_length || left < 8)
        return false;
    if ((load_word(p) & of->key_mask) != of->key_word)
        return false;
    return of->key_length <= 8 || memcmp(p + 8, of->key + 8, of->key_length - 8) == 0;
}

static cursor pass_number(cursor p)
{
    number found;
    p = scan_number(p, &found);
    if (p == NULL || found.count > MOST_DIGITS || abs(found.exponent) + found.count > MOST_EXPONENT)
        return NULL;
    return p;
}

static cursor pass_value(cursor p, cursor end, int depth, uint64_t *high);

/* Behind the list or object at `p`. */
static cursor pass_nested(cursor p, cursor end, int depth, uint64_t *high)
{
    bool object = *p == '{';
    unsigned char close = object ? '}' : ']';
    if (depth == DEEPEST)
        return NULL;
    p = skip_white(p + 1);
    if (*p != close) {
        for (;;) {
            if (object) {
                p = *p == '"' ? pass_text(p + 1, end, high) : NULL;
                if (p == NULL)
                    return NULL;
                p = skip_white(p);
                if (*p != ':')
                    return NULL;
                p = skip_white(p + 1);
            }
            p = pass_value(p, end, depth + 1, high);
            if (p == NULL)
                return NULL;
            p = skip_white(p);
            if (*p != ',')
                break;
            p = skip_white(p + 1);
        }
    }
    if (*p != close)
        return NULL;
    /* The bracket that ends the record belongs to no value. */
    return p + 1 < end ? p + 1 : NULL;
}

static cursor pass_word(cursor p, cursor end, const char *word)
{
    size_t length = strlen(word);
    return (size_t)(end - p) > length && memcmp(p, word, length) == 0 ? p + length : NULL;
}

/* Behind the value at `p`, which nobody asked for; NULL: it is broken, or not plain. */
static cursor pass_value(cursor p, cursor end, int depth, uint64_t *high)
{
    switch (*p) {
    case '"':
        return pass_text(p + 1, end, high);
    case '{':
    case '[':
        return pass_nested(p, end, depth, high);
    case 't':
        return pass_word(p, end, "true");
    case 'f':
        return pass_word(p, end, "false");
    case 'n':
        return pass_word(p, end, "null");
    default:
        return pass_number(p);
    }
}

/* Behind the key and the colon at `p`, and which column it is. A key with an escape is not plain. */
static cursor read_key(const reader *in, cursor p, cursor end, size_t *place, uint64_t *high)
{
    cursor start = p;
    if (*p != '"')
        return NULL;
    p = copy_to_stop(p + 1, end, NULL, high);
    if (p == end || *p != '"')
        return NULL;
    p++;
    *place = find_column(in, start, (size_t)(p - start));
    p = skip_white(p);
    return *p == ':' ? p + 1 : NULL;
}

/* Sets the value at `p` aside, and returns what is behind it; NULL: it is broken. Of floats only Arrow's reader knows
 * what others make of those that are too large or too small. */
static cursor set_aside(reader *in, size_t place, cursor p, cursor end, uint64_t *high, outcome *why)
{
    column *of = &in->columns[place];
    cursor behind;
    bool is_number = *p == '-' || is_digit(*p);
    if (*why == NO_MEMORY || of->kind == LIST || (is_number && (of->kind == FLOAT64 || of->kind == FLOAT32)))
        return NULL;
    behind = pass_value(p, end, 1, high);
    if (behind == NULL)
        return NULL;
    take_back(of, in->rows);
    if (!append(&in->aside.texts, p, (size_t)(behind - p)) || !append_int64(&in->aside.rows, in->rows)
        || !append_int64(&in->aside.places, place) || !append_int64(&in->aside.ends, in->aside.texts.size)) {
        *why = NO_MEMORY;
        return NULL;
    }
    return behind;
}

/* Reads a field; `guess` is the place where the column is remembered that comes next. */
static inline cursor read_field(reader *in, cursor p, cursor end, size_t **guess, uint64_t *high, outcome *why)
{
    size_t place = **guess, row = in->rows;
    column *to = &in->columns[place];
    cursor behind;
    if (place < in->count && has_key(to, p, end)) {
        p += to->key_length;
    } else {
        p = read_key(in, p, end, &place, high);
        if (p == NULL)
            return NULL;
        p = skip_white(p);
        if (place == in->count) {
            in->others = true;
            return pass_value(p, end, 1, high);
        }
        **guess = place;
        to = &in->columns[place];
    }
    if (to->seen == row + 1)
        return NULL;
    to->seen = row + 1;
    *guess = &to->next;
    p = skip_white(p);
    behind = read_value(to, row, p, end, high, why);
    return behind != NULL ? behind : set_aside(in, place, p, end, high, why);
}

/* Whether the fields of the object at `p` are in the columns, and nothing is behind it. */
static inline bool read_fields(reader *in, cursor p, cursor end, size_t *fields, outcome *why)
{
    size_t *guess = &in->first;
    uint64_t high = 0;
    cursor start = p;
    p = skip_white(p + 1);
    if (*p != '}') {
        for (;;) {
            size_t *before = guess;
            p = read_field(in, p, end, &guess, &high, why);
            if (p == NULL)
                return false;
            *fields += guess != before;
            p = skip_white(p);
            if (*p != ',')
                break;
            p = skip_white(p + 1);
        }
    }
    return *p == '}' && p + 1 == end && ((high & HIGH_BITS) == 0 || is_utf8(start, end));
}

static void fill_missing(reader *in)
{
    for (size_t i = 0; i < in->count; i++)
        if (in->columns[i].seen != in->rows + 1)
            put_null(&in->columns[i], in->rows);
}

static void take_row_back(reader *in)
{
    for (size_t i = 0; i < in->count; i++) {
        column *from = &in->columns[i];
        if (from->seen == in->rows + 1)
            take_back(from, in->rows);
        else
            put_null(from, in->rows);
    }
}

/* A record becomes one row, of nulls if it is not plain; there is room for it. NO_MEMORY: the row is taken back. */
static outcome read_record(reader *in, cursor p, size_t length)
{
    cursor end = p + length;
    outcome why = NOT_PLAIN;
    size_t fields = 0, aside = count_aside(&in->aside);
    while (p < end && (*p == ' ' || *p == '\n' || *p == '\t' || *p == '\r'))
        p++;
    while (p < end && (end[-1] == ' ' || end[-1] == '\n' || end[-1] == '\t' || end[-1] == '\r'))
        end--;
    if (end - p >= 2 && *p == '{' && end[-1] == '}' && read_fields(in, p, end, &fields, &why)) {
        if (fields != in->count)
            fill_missing(in);
        in->rows++;
        return PLAIN;
    }
    take_row_back(in);
    cut_aside(&in->aside, aside);
    if (why == NO_MEMORY || !append_int64(&in->odd, in->rows))
        return NO_MEMORY;
    in->rows++;
    return NOT_PLAIN;
}

#endif
