/* A record: one JSON object, each field of it a value of a column, or one that nobody asked for. */
#ifndef SPARSEWATCH_PLAIN_RECORD_H
#define SPARSEWATCH_PLAIN_RECORD_H

#include "_plain_columns.h"

/* Deepest nesting of values that nobody asked for. */
#define DEEPEST 64
/* Numbers that nobody asked for must be of a size that every reader holds. */
#define MOST_EXPONENT 300

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
    /* Places of records that are not plain. */
    int64_t *odd;
    size_t odd_count;
    size_t odd_room;
} reader;

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
    if (p == NULL || found.count > MOST_DIGITS || abs(found.exponent) > MOST_EXPONENT)
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

/* Reads a field; `guess` is the place where the column is remembered that comes next. */
static inline cursor read_field(reader *in, cursor p, cursor end, size_t **guess, uint64_t *high, outcome *why)
{
    size_t place = **guess, row = in->rows;
    column *to = &in->columns[place];
    if (place < in->count && has_key(to, p, end)) {
        p += to->key_length;
    } else {
        p = read_key(in, p, end, &place, high);
        if (p == NULL)
            return NULL;
        p = skip_white(p);
        if (place == in->count)
            return pass_value(p, end, 1, high);
        **guess = place;
        to = &in->columns[place];
    }
    if (to->seen == row + 1)
        return NULL;
    to->seen = row + 1;
    *guess = &to->next;
    return read_value(to, row, skip_white(p), end, high, why);
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

static bool note_odd(reader *in)
{
    if (in->odd_count == in->odd_room) {
        size_t room = in->odd_room ? 2 * in->odd_room : LEAST_ROOM;
        int64_t *longer = realloc(in->odd, room * sizeof *longer);
        if (longer == NULL)
            return false;
        in->odd = longer;
        in->odd_room = room;
    }
    in->odd[in->odd_count++] = (int64_t)in->rows;
    return true;
}

/* A record becomes one row, of nulls if it is not plain; there is room for it. NO_MEMORY: the row is taken back. */
static outcome read_record(reader *in, cursor p, size_t length)
{
    cursor end = p + length;
    outcome why = NOT_PLAIN;
    size_t fields = 0;
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
    if (why == NO_MEMORY || !note_odd(in))
        return NO_MEMORY;
    in->rows++;
    return NOT_PLAIN;
}

#endif
