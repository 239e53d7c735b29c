/* Which bytes are UTF-8, as Python decodes it: no surrogates, no longer form than needed, nothing above U+10FFFF. */
#ifndef SPARSEWATCH_UTF8_H
#define SPARSEWATCH_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A word of eight bytes without any of these is ASCII. */
#define HIGH_BITS 0x8080808080808080u

static inline uint64_t load_word(const unsigned char *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

static inline bool continues(unsigned char c)
{
    return (c & 0xc0) == 0x80;
}

/* Bytes of the character at `p`, 0 if they are no UTF-8: Unicode 15, table 3-7. */
static size_t utf8_length(const unsigned char *p, const unsigned char *end)
{
    unsigned char first = p[0], second;
    if (first < 0x80)
        return 1;
    if (first < 0xc2 || first > 0xf4 || end - p < 2)
        return 0;
    second = p[1];
    if (first < 0xe0)
        return continues(second) ? 2 : 0;
    if (first < 0xf0) {
        bool inside = first == 0xe0 ? second >= 0xa0 : first == 0xed ? second < 0xa0 : true;
        return end - p >= 3 && inside && continues(second) && continues(p[2]) ? 3 : 0;
    }
    {
        bool inside = first == 0xf0 ? second >= 0x90 : first == 0xf4 ? second < 0x90 : true;
        return end - p >= 4 && inside && continues(second) && continues(p[2]) && continues(p[3]) ? 4 : 0;
    }
}

static bool is_utf8(const unsigned char *p, const unsigned char *end)
{
    while (p < end) {
        size_t length;
        if (end - p >= 8 && (load_word(p) & HIGH_BITS) == 0) {
            p += 8;
            continue;
        }
        length = utf8_length(p, end);
        if (length == 0)
            return false;
        p += length;
    }
    return true;
}

#endif
