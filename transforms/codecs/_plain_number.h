/* Numbers of JSON, rounded exactly as IEEE 754 asks: to the nearest, ties to even. */
#ifndef SPARSEWATCH_PLAIN_NUMBER_H
#define SPARSEWATCH_PLAIN_NUMBER_H

#include <float.h>
#include <math.h>
#include <stdlib.h>
#ifdef _WIN32
#include <locale.h>
#else
#include <locale.h>
#ifdef __APPLE__
#include <xlocale.h>
#endif
#endif

#include "_plain_text.h"

/* All numbers of so many digits are below 2**64. */
#define MOST_DIGITS 19
/* Longest text of a number that is read; others are not plain. */
#define LONGEST_NUMBER 400
/* Beyond it an exponent is only known to be large. */
#define LARGE_EXPONENT 100000

#ifdef _WIN32
typedef _locale_t number_locale;
#define strtod_in _strtod_l
#define strtof_in _strtof_l
#else
typedef locale_t number_locale;
#define strtod_in strtod_l
#define strtof_in strtof_l
#endif
/* Of the language C: elsewhere a comma may divide whole from fraction. */
static number_locale c_locale;

static bool make_locale(void)
{
    if (c_locale == (number_locale)0) {
#ifdef _WIN32
        c_locale = _create_locale(LC_ALL, "C");
#else
        c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
#endif
    }
    return c_locale != (number_locale)0;
}

typedef struct {
    cursor text;
    size_t length;
    /* Value without sign: digits * 10**exponent, if there are at most MOST_DIGITS. */
    uint64_t digits;
    int exponent;
    /* Significant digits, or MOST_DIGITS + 1. */
    int count;
    bool negative;
    bool whole;
} number;

static inline bool is_digit(unsigned char c)
{
    return (unsigned char)(c - '0') < 10;
}

static inline cursor scan_digits(cursor p, number *found)
{
    for (; is_digit(*p); p++) {
        if ((found->count || *p != '0') && found->count <= MOST_DIGITS)
            found->count++;
        if (found->count <= MOST_DIGITS)
            found->digits = found->digits * 10 + (uint64_t)(*p - '0');
    }
    return p;
}

static cursor scan_exponent(cursor p, int *exponent)
{
    bool negative = *p == '-';
    int size = 0;
    if (*p == '-' || *p == '+')
        p++;
    if (!is_digit(*p))
        return NULL;
    for (; is_digit(*p); p++)
        if (size < LARGE_EXPONENT)
            size = size * 10 + (*p - '0');
    *exponent += negative ? -size : size;
    return p;
}

/* Behind the number at `p`; NULL: there is none, or too long a one. */
static inline cursor scan_number(cursor p, number *found)
{
    cursor start = p;
    *found = (number){.text = p, .negative = *p == '-', .whole = true};
    if (found->negative)
        p++;
    if (!is_digit(*p) || (*p == '0' && is_digit(p[1])))
        return NULL;
    p = scan_digits(p, found);
    if (*p == '.') {
        cursor point = ++p;
        p = scan_digits(p, found);
        if (p == point || p - point > LONGEST_NUMBER)
            return NULL;
        found->exponent = -(int)(p - point);
        found->whole = false;
    }
    if (*p == 'e' || *p == 'E') {
        p = scan_exponent(p + 1, &found->exponent);
        if (p == NULL)
            return NULL;
        found->whole = false;
    }
    found->length = (size_t)(p - start);
    return found->length <= LONGEST_NUMBER ? p : NULL;
}

static void number_text(const number *from, char *text)
{
    memcpy(text, from->text, from->length);
    text[from->length] = '\0';
}

static bool double_by_library(const number *from, double *value)
{
    char text[LONGEST_NUMBER + 1];
    number_text(from, text);
    *value = strtod_in(text, NULL, c_locale);
    /* Readers differ in what they make of numbers too small to be held in full. */
    return isfinite(*value) && fabs(*value) >= DBL_MIN;
}

static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

#if LDBL_MANT_DIG == 64 && defined(__x86_64__)
#define EXTENDED 1
static const long double extended_powers[] = {
    1e0L,  1e1L,  1e2L,  1e3L,  1e4L,  1e5L,  1e6L,  1e7L,  1e8L,  1e9L,  1e10L, 1e11L, 1e12L, 1e13L,
    1e14L, 1e15L, 1e16L, 1e17L, 1e18L, 1e19L, 1e20L, 1e21L, 1e22L, 1e23L, 1e24L, 1e25L, 1e26L, 1e27L};

/* Both operands are exact, so the quotient or product is the nearest of 64 bits. Rounding it again, to 53 bits, errs
 * only where it looks like the middle of two doubles: then the library decides. */
static bool double_by_extended(const number *from, double *value)
{
    uint64_t mantissa;
    long double x = (long double)from->digits;
    if (from->exponent < -27 || from->exponent > 27)
        return false;
    x = from->exponent < 0 ? x / extended_powers[-from->exponent] : x * extended_powers[from->exponent];
    memcpy(&mantissa, &x, sizeof mantissa);
    *value = (double)x;
    return (mantissa & 0x7ff) != 0x400;
}
#else
#define EXTENDED 0
#endif

/* The nearest double; false: the number is not plain, such as one beyond all doubles. */
static inline bool to_double(const number *from, double *value)
{
    double size;
    if (from->count > MOST_DIGITS) {
        if (from->whole)
            return false;
        return double_by_library(from, value);
    }
    if (from->count == 0) {
        size = 0.0;
#if FLT_EVAL_METHOD == 0
    } else if (from->digits <= (uint64_t)1 << 53 && from->exponent >= -22 && from->exponent <= 22) {
        /* Clinger, How to Read Floating Point Numbers Accurately, PLDI 1990: one rounding of exact operands. */
        size = from->exponent < 0 ? (double)from->digits / powers[-from->exponent]
                                  : (double)from->digits * powers[from->exponent];
#endif
#if EXTENDED
    } else if (double_by_extended(from, &size)) {
#endif
    } else {
        return double_by_library(from, value);
    }
    *value = from->negative ? -size : size;
    return true;
}

/* The nearest float. A double that is not the middle of two floats lies on the same side of it as the number. */
static inline bool to_float(const number *from, float *value)
{
    double nearest;
    uint64_t bits;
    if (!to_double(from, &nearest) || fabs(nearest) > FLT_MAX)
        return false;
    memcpy(&bits, &nearest, sizeof bits);
    if ((bits & 0x1fffffff) == 0x10000000) {
        char text[LONGEST_NUMBER + 1];
        number_text(from, text);
        *value = strtof_in(text, NULL, c_locale);
    } else {
        *value = (float)nearest;
    }
    return isfinite(*value) && (nearest == 0.0 || fabs(nearest) >= 2 * (double)FLT_MIN);
}

/* Behind the integer at `p`, which lies within `bits`; NULL: it is none. */
static inline cursor scan_integer(cursor p, int bits, int64_t *value)
{
    bool negative = *p == '-';
    uint64_t size, most = ((uint64_t)1 << (bits - 1)) - 1;
    cursor start = p += negative;
    if (!is_digit(*p) || (*p == '0' && is_digit(p[1])))
        return NULL;
    for (size = 0; is_digit(*p); p++)
        size = size * 10 + (uint64_t)(*p - '0');
    if (p - start > MOST_DIGITS || size > most + negative || *p == '.' || (*p | 0x20) == 'e')
        return NULL;
    *value = (int64_t)(negative ? 0 - size : size);
    return p;
}

#endif
