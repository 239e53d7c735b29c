/* White space and texts of JSON.
 *
 * A record that is read ends with '}', the last byte before `end`, and every place that is looked at lies before `end`:
 * no loop over white space or digits needs to look where the record ends, since the bracket ends it. */
#ifndef SPARSEWATCH_PLAIN_TEXT_H
#define SPARSEWATCH_PLAIN_TEXT_H

#include "_utf8.h"

typedef const unsigned char *cursor;

#define EACH_BYTE 0x0101010101010101u
/* Most bytes of UTF-8 that one escape stands for. */
#define LONGEST_ESCAPED 4

#if defined(__GNUC__) && defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define WORDS 1
#else
#define WORDS 0
#endif

static inline cursor skip_white(cursor p)
{
    while (*p == ' ' || *p == '\n' || *p == '\t' || *p == '\r')
        p++;
    return p;
}

/* The lowest set bit lies in the first byte that ends a run of plain characters: a quote, a backslash or a control. */
static inline uint64_t word_stops(uint64_t word)
{
    uint64_t quote = word ^ (EACH_BYTE * '"'), backslash = word ^ (EACH_BYTE * '\\');
    return (((quote - EACH_BYTE) & ~quote) | ((backslash - EACH_BYTE) & ~backslash)
            | ((word - EACH_BYTE * 0x20) & ~word))
        & HIGH_BITS;
}

static inline bool is_stop(unsigned char c)
{
    return c == '"' || c == '\\' || c < 0x20;
}

static bool hex_digits(cursor p, uint32_t *code)
{
    *code = 0;
    for (int i = 0; i < 4; i++) {
        uint32_t c = p[i], digit = 16;
        if (c >= '0' && c <= '9')
            digit = c - '0';
        else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
            digit = (c | 0x20) - 'a' + 10;
        if (digit == 16)
            return false;
        *code = *code << 4 | digit;
    }
    return true;
}

static unsigned encode_utf8(uint32_t code, unsigned char *to)
{
    if (code < 0x80) {
        to[0] = (unsigned char)code;
        return 1;
    }
    if (code < 0x800) {
        to[0] = (unsigned char)(0xc0 | code >> 6);
        to[1] = (unsigned char)(0x80 | (code & 0x3f));
        return 2;
    }
    if (code < 0x10000) {
        to[0] = (unsigned char)(0xe0 | code >> 12);
        to[1] = (unsigned char)(0x80 | (code >> 6 & 0x3f));
        to[2] = (unsigned char)(0x80 | (code & 0x3f));
        return 3;
    }
    to[0] = (unsigned char)(0xf0 | code >> 18);
    to[1] = (unsigned char)(0x80 | (code >> 12 & 0x3f));
    to[2] = (unsigned char)(0x80 | (code >> 6 & 0x3f));
    to[3] = (unsigned char)(0x80 | (code & 0x3f));
    return 4;
}

/* `p` is behind "\u"; half a surrogate pair is no character. */
static cursor read_unicode_escape(cursor p, cursor end, unsigned char *to, unsigned *length)
{
    uint32_t code, low;
    if (end - p < 5 || !hex_digits(p, &code))
        return NULL;
    p += 4;
    if (code >= 0xdc00 && code < 0xe000)
        return NULL;
    if (code >= 0xd800 && code < 0xdc00) {
        if (end - p < 7 || p[0] != '\\' || p[1] != 'u' || !hex_digits(p + 2, &low) || low < 0xdc00 || low >= 0xe000)
            return NULL;
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        p += 6;
    }
    *length = encode_utf8(code, to);
    return p;
}

/* Bytes that an escape stands for, never more than it takes; `p` is behind the backslash. NULL: no escape. */
static cursor read_escape(cursor p, cursor end, unsigned char *to, unsigned *length)
{
    static const char escaped[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    const char *found;
    if (end - p < 2)
        return NULL;
    if (*p == 'u')
        return read_unicode_escape(p + 1, end, to, length);
    found = *p ? strchr(escaped, *p) : NULL;
    if (found == NULL)
        return NULL;
    *to = (unsigned char)meant[found - escaped];
    *length = 1;
    return p + 1;
}

/* The next stop at or behind `p`, `end` if there is none; the bytes before it are copied, and with them up to 7 more.
 * `high` gathers the bytes passed, and maybe some behind them: without high bits, all were ASCII. */
static inline cursor copy_to_stop(cursor p, cursor end, unsigned char **to, uint64_t *high)
{
#if WORDS
    while (end - p >= 8) {
        uint64_t word = load_word(p), stops = word_stops(word);
        *high |= word;
        if (to != NULL)
            memcpy(*to, &word, sizeof word);
        if (stops) {
            size_t before = (size_t)(__builtin_ctzll(stops) >> 3);
            if (to != NULL)
                *to += before;
            return p + before;
        }
        p += 8;
        if (to != NULL)
            *to += 8;
    }
#endif
    while (p < end && !is_stop(*p)) {
        *high |= (uint64_t)*p << 56;
        if (to != NULL)
            *(*to)++ = *p;
        p++;
    }
    return p;
}

/* Behind the quote that ends a text; `p` is behind the one that begins it. NULL: it is broken.
 * `to` has room for `end - p + 8` bytes; it moves behind the text. */
static inline cursor copy_text(cursor p, cursor end, unsigned char **to, uint64_t *high)
{
    for (;;) {
        unsigned length;
        p = copy_to_stop(p, end, to, high);
        if (p == end || *p < 0x20)
            return NULL;
        if (*p == '"')
            return p + 1;
        p = read_escape(p + 1, end, *to, &length);
        if (p == NULL)
            return NULL;
        *to += length;
    }
}

/* As `copy_text`, for a text that nobody reads. */
static inline cursor pass_text(cursor p, cursor end, uint64_t *high)
{
    unsigned char unread[LONGEST_ESCAPED];
    for (;;) {
        unsigned length;
        p = copy_to_stop(p, end, NULL, high);
        if (p == end || *p < 0x20)
            return NULL;
        if (*p == '"')
            return p + 1;
        p = read_escape(p + 1, end, unread, &length);
        if (p == NULL)
            return NULL;
    }
}

#endif
