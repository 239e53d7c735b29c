/* Columns in the layout of Arrow, which grow record by record. */
#ifndef SPARSEWATCH_PLAIN_COLUMNS_H
#define SPARSEWATCH_PLAIN_COLUMNS_H

#include "_plain_number.h"

/* Kinds are named as in Arrow's C data interface. */
#define INT8 'c'
#define INT32 'i'
#define INT64 'l'
#define FLOAT32 'f'
#define FLOAT64 'g'
#define BOOL 'b'
#define TEXT 'u'
#define LIST '+'

#define LEAST_ROOM 64

typedef enum { PLAIN, NOT_PLAIN, NO_MEMORY } outcome;

typedef struct column {
    /* "name": with its quotes and its colon; empty where it is the column of a list's items. */
    unsigned char *key;
    size_t key_length;
    /* First eight bytes of the key, and which of their bits belong to it. */
    uint64_t key_word;
    uint64_t key_mask;
    char kind;
    /* Column of a list's items. */
    struct column *items;
    /* A bit a row, 1 where it has a value. */
    unsigned char *valid;
    /* Values of fixed width, or bytes of texts. */
    unsigned char *data;
    /* Where the text or list of each row begins, and behind the last where it ends. */
    int32_t *offsets;
    /* Rows that there is room for. */
    size_t rows_room;
    /* Bytes of texts, or items of lists, and how many there is room for. */
    size_t length;
    size_t bytes_room;
    size_t nulls;
    /* One more than the last row that gave it a value or null. */
    size_t seen;
    /* Column that last came behind this one. */
    size_t next;
} column;

static inline size_t width_of(char kind)
{
    switch (kind) {
    case INT8:
        return 1;
    case INT32:
    case FLOAT32:
        return 4;
    case INT64:
    case FLOAT64:
        return 8;
    default:
        return 0;
    }
}

static inline size_t bits_size(size_t rows)
{
    return rows / 8 + 1;
}

/* Longer by bytes of `fill`; false without memory, when it is as before. */
static bool lengthen(void **memory, size_t old, size_t size, int fill)
{
    unsigned char *longer = realloc(*memory, size ? size : 1);
    if (longer == NULL)
        return false;
    if (size > old)
        memset(longer + old, fill, size - old);
    *memory = longer;
    return true;
}

/* Room for rows: those that are not written are null and zero. */
static bool make_room(column *to, size_t rows)
{
    size_t old = to->rows_room, room = old * 2 > rows ? old * 2 : rows, width = width_of(to->kind);
    if (rows <= old)
        return true;
    if (room < LEAST_ROOM)
        room = LEAST_ROOM;
    if (!lengthen((void **)&to->valid, old ? bits_size(old) : 0, bits_size(room), 0xff))
        return false;
    if (to->kind == BOOL && !lengthen((void **)&to->data, old ? bits_size(old) : 0, bits_size(room), 0))
        return false;
    if (width && !lengthen((void **)&to->data, old * width, room * width, 0))
        return false;
    if ((to->kind == TEXT || to->kind == LIST)
        && !lengthen((void **)&to->offsets, old ? (old + 1) * sizeof(int32_t) : 0, (room + 1) * sizeof(int32_t), 0))
        return false;
    to->rows_room = room;
    return true;
}

static inline bool make_text_room(column *to, size_t more)
{
    size_t room = to->bytes_room * 2;
    if (to->bytes_room - to->length >= more)
        return true;
    if (room < to->length + more)
        room = to->length + more;
    if (!lengthen((void **)&to->data, room, room, 0))
        return false;
    to->bytes_room = room;
    return true;
}

static inline bool bit_at(const unsigned char *bits, size_t at)
{
    return bits[at / 8] >> (at % 8) & 1;
}

static inline void put_bit(unsigned char *bits, size_t at, bool value)
{
    unsigned char bit = (unsigned char)(1u << (at % 8));
    bits[at / 8] = (unsigned char)(value ? bits[at / 8] | bit : bits[at / 8] & ~bit);
}

static inline void put_null(column *to, size_t row)
{
    put_bit(to->valid, row, false);
    to->nulls++;
    if (to->offsets != NULL)
        to->offsets[row + 1] = (int32_t)to->length;
}

/* The row is null, whatever it held; it is the last. */
static void take_back(column *from, size_t row)
{
    if (from->kind == LIST) {
        for (size_t at = (size_t)from->offsets[row]; at < from->length; at++) {
            from->items->nulls -= !bit_at(from->items->valid, at);
            put_bit(from->items->valid, at, true);
        }
    }
    if (from->offsets != NULL)
        from->length = (size_t)from->offsets[row];
    from->nulls -= !bit_at(from->valid, row);
    put_null(from, row);
}

static void free_buffers(column *from)
{
    free(from->valid);
    free(from->data);
    free(from->offsets);
    from->valid = from->data = NULL;
    from->offsets = NULL;
    from->rows_room = from->bytes_room = from->length = from->nulls = 0;
}

static inline cursor read_integer(column *to, size_t row, cursor p)
{
    int64_t value;
    size_t width = width_of(to->kind);
    p = scan_integer(p, (int)(8 * width), &value);
    if (p == NULL)
        return NULL;
    if (to->kind == INT64) {
        ((int64_t *)to->data)[row] = value;
    } else if (to->kind == INT32) {
        ((int32_t *)to->data)[row] = (int32_t)value;
    } else {
        ((int8_t *)to->data)[row] = (int8_t)value;
    }
    return p;
}

static inline cursor read_float(column *to, size_t row, cursor p)
{
    number found;
    p = scan_number(p, &found);
    if (p == NULL)
        return NULL;
    if (to->kind == FLOAT64)
        return to_double(&found, (double *)to->data + row) ? p : NULL;
    return to_float(&found, (float *)to->data + row) ? p : NULL;
}

static inline cursor read_bool(column *to, size_t row, cursor p, cursor end)
{
    bool value = *p == 't';
    size_t length = value ? 4 : 5;
    if ((size_t)(end - p) <= length || memcmp(p, value ? "true" : "false", length) != 0)
        return NULL;
    put_bit(to->data, row, value);
    return p + length;
}

static inline cursor read_fixed(column *to, size_t row, cursor p, cursor end)
{
    switch (to->kind) {
    case INT64:
    case INT32:
    case INT8:
        return read_integer(to, row, p);
    case FLOAT64:
    case FLOAT32:
        return read_float(to, row, p);
    default:
        return read_bool(to, row, p, end);
    }
}

static inline cursor read_text(column *to, size_t row, cursor p, cursor end, uint64_t *high, outcome *why)
{
    unsigned char *at;
    if (*p != '"')
        return NULL;
    if (!make_text_room(to, (size_t)(end - p) + 8)) {
        *why = NO_MEMORY;
        return NULL;
    }
    at = to->data + to->length;
    p = copy_text(p + 1, end, &at, high);
    if (p == NULL || at - to->data > INT32_MAX)
        return NULL;
    to->length = (size_t)(at - to->data);
    to->offsets[row + 1] = (int32_t)to->length;
    return p;
}

static inline bool is_null(cursor p, cursor end)
{
    return end - p > 4 && memcmp(p, "null", 4) == 0;
}

static inline cursor read_item(column *to, size_t at, cursor p, cursor end, outcome *why)
{
    if (at >= INT32_MAX)
        return NULL;
    if (!make_room(to, at + 1)) {
        *why = NO_MEMORY;
        return NULL;
    }
    if (!is_null(p, end))
        return read_fixed(to, at, p, end);
    put_null(to, at);
    return p + 4;
}

static cursor read_list(column *to, size_t row, cursor p, cursor end, outcome *why)
{
    if (*p != '[')
        return NULL;
    p = skip_white(p + 1);
    if (*p != ']') {
        for (;;) {
            p = read_item(to->items, to->length, p, end, why);
            if (p == NULL)
                return NULL;
            to->length++;
            p = skip_white(p);
            if (*p != ',')
                break;
            p = skip_white(p + 1);
        }
    }
    if (*p != ']')
        return NULL;
    to->offsets[row + 1] = (int32_t)to->length;
    return p + 1;
}

/* Behind the value at `p`, which is now in the column; NULL: it does not plainly fit. */
static inline cursor read_value(column *to, size_t row, cursor p, cursor end, uint64_t *high, outcome *why)
{
    if (*p == 'n' && is_null(p, end)) {
        put_null(to, row);
        return p + 4;
    }
    switch (to->kind) {
    case TEXT:
        return read_text(to, row, p, end, high, why);
    case LIST:
        return read_list(to, row, p, end, why);
    default:
        return read_fixed(to, row, p, end);
    }
}

#endif
