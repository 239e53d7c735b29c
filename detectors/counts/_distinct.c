/* Distinct values of a column, in the order they first appear, and the sums of their rows and clicks.
 *
 * An open table of values by a hash with a seed, so that no one can make values that collide; without Python's lock.
 * `sparsewatch.detectors.counts.distinct` says what comes in and goes out. */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* A checkout may hold a part that was built from other sources: it goes up with every change of `count`. */
#define INTERFACE 2
/* Rows whose places are asked for before the first is looked at. */
#define AHEAD 32
#define WORD 8
#define FIRST_SLOTS 1024
/* Tables that are kept, and slots of the largest of them. */
#define KEPT 2
#define MOST_KEPT (1 << 17)
/* Length that stands for a missing value. */
#define MISSING UINT32_MAX

typedef struct {
    /* The number or the short text itself; of a longer text its hash. */
    uint64_t key;
    uint32_t length;
    /* Of the value among the distinct ones, from 1; 0 in an empty slot. */
    uint32_t number;
} slot;

typedef struct {
    int64_t rows, clicks;
} sum;

/* Memory that is zero only where it is used; kept for the next column, since to get pages costs more than to use them. */
typedef struct {
    /* In use, and the one it grows into. */
    slot *slots, *spare;
    size_t slots_held, spare_held, mask;
    /* Of the distinct values: the row where each comes first, and its sums. */
    int64_t *firsts;
    sum *sums;
    size_t distinct, values_held;
    uint64_t seed;
} table;

typedef struct {
    /* Numbers; of texts where each begins, in `width` bytes, and the bytes. */
    Py_buffer values, bytes;
    /* A bit a row, if any value is missing. */
    Py_buffer valid;
    /* Rows and clicks of each row; without `weights` each is one row and `clicks` has a byte a row. */
    Py_buffer weights, clicks;
    Py_ssize_t width, first, count;
    bool texts;
} column;

static const char NO_MEMORY[] = "no memory";

/* Loops are made for each kind of column: what they ask of it once a row is known then. */
#define FOR_EACH_KIND static inline __attribute__((always_inline))

FOR_EACH_KIND uint64_t fold(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

FOR_EACH_KIND size_t place_of(const table *of, uint64_t key, uint32_t length)
{
    uint64_t odd = of->seed ^ 0x9E3779B97F4A7C15u;
    return fold(key ^ of->seed, (odd + length) * 0xBF58476D1CE4E5B9u | 1) & of->mask;
}

static bool make_values(table *of, size_t more)
{
    size_t held = of->values_held ? of->values_held : FIRST_SLOTS;
    while (held < of->distinct + more)
        held *= 2;
    if (held == of->values_held)
        return true;
    int64_t *firsts = realloc(of->firsts, held * sizeof(int64_t));
    of->firsts = firsts != NULL ? firsts : of->firsts;
    sum *sums = realloc(of->sums, held * sizeof(sum));
    of->sums = sums != NULL ? sums : of->sums;
    of->values_held = firsts != NULL && sums != NULL ? held : of->values_held;
    return firsts != NULL && sums != NULL;
}

/* Empty slots in `spare`. */
static bool make_spare(table *of, size_t size)
{
    if (of->spare_held < size) {
        free(of->spare);
        of->spare = malloc(size * sizeof(slot));
        of->spare_held = of->spare != NULL ? size : 0;
    }
    if (of->spare != NULL)
        memset(of->spare, 0, size * sizeof(slot));
    return of->spare != NULL;
}

static bool make_slots(table *of, size_t size)
{
    size_t used = of->mask + 1;
    if (!make_spare(of, size))
        return false;
    slot *before = of->slots;
    size_t held = of->slots_held;
    of->slots = of->spare;
    of->slots_held = of->spare_held;
    of->spare = before;
    of->spare_held = held;
    of->mask = size - 1;
    for (size_t i = 0; of->distinct && i < used; i++) {
        if (!before[i].number)
            continue;
        size_t at = place_of(of, before[i].key, before[i].length);
        while (of->slots[at].number)
            at = (at + 1) & of->mask;
        of->slots[at] = before[i];
    }
    return true;
}

/* Whether so many values more have room. */
static bool make_room(table *of, size_t more)
{
    size_t size = of->mask + 1;
    while (size < 2 * (of->distinct + more))
        size *= 2;
    return make_values(of, more) && (size == of->mask + 1 || make_slots(of, size));
}

static bool start_table(table *of, uint64_t seed)
{
    of->seed = seed;
    of->distinct = 0;
    return make_slots(of, FIRST_SLOTS);
}

static void free_table(table *of)
{
    free(of->slots);
    free(of->spare);
    free(of->firsts);
    free(of->sums);
}

/* Tables at rest, which whoever has Python's lock takes from and puts back. */
static table kept[KEPT];
static int number_kept = 0;

static table take_table(void)
{
    return number_kept ? kept[--number_kept] : (table){0};
}

static void put_back(table *of)
{
    if (number_kept < KEPT && of->slots_held <= MOST_KEPT && of->spare_held <= MOST_KEPT)
        kept[number_kept++] = *of;
    else
        free_table(of);
}

FOR_EACH_KIND bool is_valid(const column *in, Py_ssize_t row)
{
    const uint8_t *bits = in->valid.buf;
    Py_ssize_t at = in->first + row;
    return bits == NULL || (bits[at >> 3] >> (at & 7) & 1);
}

FOR_EACH_KIND int64_t start_of(const column *in, Py_ssize_t row, Py_ssize_t width)
{
    Py_ssize_t at = in->first + row;
    return width == 4 ? ((const int32_t *)in->values.buf)[at] : ((const int64_t *)in->values.buf)[at];
}

FOR_EACH_KIND uint64_t word_at(const char *bytes, size_t length)
{
    uint64_t word = 0;
    memcpy(&word, bytes, length);
    return word;
}

static uint64_t hash_of(const char *text, size_t length, uint64_t seed)
{
    uint64_t hash = seed;
    for (; length > WORD; text += WORD, length -= WORD)
        hash = fold(hash ^ word_at(text, WORD), seed | 1);
    return fold(hash ^ word_at(text, length), seed | 1);
}

/* Of a text of at most a word without a loop over its bytes, where as much can be read behind its start. */
FOR_EACH_KIND uint64_t short_key(const column *in, int64_t start, size_t length)
{
    const char *text = (const char *)in->bytes.buf + start;
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    if (start + WORD <= in->bytes.len)
        return length ? word_at(text, WORD) & (UINT64_MAX >> (64 - 8 * length)) : 0;
#endif
    return word_at(text, length);
}

FOR_EACH_KIND bool read_key(const column *in, Py_ssize_t row, uint64_t seed, bool texts, Py_ssize_t width, slot *key)
{
    if (!texts) {
        key->key = ((const uint64_t *)in->values.buf)[in->first + row];
        key->length = 0;
        return true;
    }
    int64_t start = start_of(in, row, width), end = start_of(in, row + 1, width);
    if (start < 0 || end < start || end > in->bytes.len || end - start >= MISSING)
        return false;
    size_t length = (size_t)(end - start);
    key->length = (uint32_t)length;
    key->key = length <= WORD ? short_key(in, start, length)
                              : hash_of((const char *)in->bytes.buf + start, length, seed);
    return true;
}

static bool same_text(const column *in, Py_ssize_t row, int64_t other, uint32_t length)
{
    const char *bytes = in->bytes.buf;
    return memcmp(bytes + start_of(in, row, in->width), bytes + start_of(in, other, in->width), length) == 0;
}

/* Where the sum of a row's value is. */
FOR_EACH_KIND sum *sum_of(const column *in, Py_ssize_t row, const slot *key, size_t at, table *of)
{
    slot *found = &of->slots[at];
    while (found->number) {
        if (found->key == key->key && found->length == key->length
            && (key->length <= WORD || key->length == MISSING || same_text(in, row, of->firsts[found->number - 1], key->length)))
            return &of->sums[found->number - 1];
        at = (at + 1) & of->mask;
        found = &of->slots[at];
    }
    size_t number = of->distinct++;
    *found = (slot){key->key, key->length, (uint32_t)number + 1};
    of->firsts[number] = row;
    of->sums[number] = (sum){0, 0};
    return &of->sums[number];
}

FOR_EACH_KIND void add(const column *in, Py_ssize_t row, bool weighted, sum *to)
{
    to->rows += weighted ? ((const int64_t *)in->weights.buf)[row] : 1;
    to->clicks += weighted ? ((const int64_t *)in->clicks.buf)[row] : ((const uint8_t *)in->clicks.buf)[row];
}

FOR_EACH_KIND const char *count_kind(
    const column *in, table *of, bool texts, Py_ssize_t width, bool weighted)
{
    slot keys[AHEAD];
    size_t places[AHEAD];
    for (Py_ssize_t first = 0; first < in->count; first += AHEAD) {
        Py_ssize_t rows = in->count - first < AHEAD ? in->count - first : AHEAD;
        if (!make_room(of, AHEAD))
            return NO_MEMORY;
        for (Py_ssize_t i = 0; i < rows; i++) {
            if (!read_key(in, first + i, of->seed, texts, width, &keys[i]))
                return "expected texts within their bytes";
            /* Missing values come at random: a value like any other, they cost no wrong guess. */
            bool valid = is_valid(in, first + i);
            keys[i].key = valid ? keys[i].key : 0;
            keys[i].length = valid ? keys[i].length : MISSING;
            places[i] = place_of(of, keys[i].key, keys[i].length);
            __builtin_prefetch(&of->slots[places[i]]);
        }
        for (Py_ssize_t i = 0; i < rows; i++)
            add(in, first + i, weighted, sum_of(in, first + i, &keys[i], places[i], of));
    }
    return NULL;
}

/* NULL, or what is wrong. */
static const char *count_rows(const column *in, table *of)
{
    bool weighted = in->weights.buf != NULL;
    if (!in->texts)
        return weighted ? count_kind(in, of, false, 8, true) : count_kind(in, of, false, 8, false);
    if (in->width == 4)
        return weighted ? count_kind(in, of, true, 4, true) : count_kind(in, of, true, 4, false);
    return weighted ? count_kind(in, of, true, 8, true) : count_kind(in, of, true, 8, false);
}

/* The sum of missing values, which is taken out of the others. */
static sum take_missing(table *of)
{
    sum missing = {0, 0};
    for (size_t at = place_of(of, 0, MISSING); of->slots[at].number; at = (at + 1) & of->mask) {
        size_t number = of->slots[at].number;
        if (of->slots[at].length != MISSING)
            continue;
        missing = of->sums[number - 1];
        memmove(&of->sums[number - 1], &of->sums[number], (of->distinct - number) * sizeof(sum));
        memmove(&of->firsts[number - 1], &of->firsts[number], (of->distinct - number) * sizeof(int64_t));
        of->distinct--;
        break;
    }
    return missing;
}

static bool holds(const Py_buffer *buffer, Py_ssize_t bytes)
{
    return buffer->buf != NULL && buffer->len >= bytes;
}

/* Whether every buffer is as long as the rows need. */
static bool fits(const column *in)
{
    Py_ssize_t end = in->first + in->count, weight = in->weights.buf != NULL ? 8 : 1;
    bool whole = in->first >= 0 && in->count >= 0 && in->count < INT32_MAX && (in->width == 4 || in->width == 8);
    whole = whole && holds(&in->values, in->width * (end + (in->texts ? 1 : 0)));
    whole = whole && (in->valid.buf == NULL || holds(&in->valid, (end + 7) / 8));
    return whole && holds(&in->clicks, weight * in->count) && (weight == 1 || holds(&in->weights, 8 * in->count));
}

/* Sums of the values: (rows, clicks), int64 each. */
static bool write_sums(const table *of, PyObject *made[2])
{
    for (int i = 0; i < 2; i++) {
        made[i] = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(of->distinct * sizeof(int64_t)));
        int64_t *to = made[i] != NULL ? (int64_t *)PyBytes_AsString(made[i]) : NULL;
        for (size_t at = 0; to != NULL && at < of->distinct; at++)
            to[at] = i ? of->sums[at].clicks : of->sums[at].rows;
    }
    return made[0] != NULL && made[1] != NULL;
}

static PyObject *write_numbers(const column *in, const table *of)
{
    PyObject *made = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(of->distinct * sizeof(uint64_t)));
    uint64_t *to = made != NULL ? (uint64_t *)PyBytes_AsString(made) : NULL;
    for (size_t at = 0; to != NULL && at < of->distinct; at++)
        to[at] = ((const uint64_t *)in->values.buf)[in->first + of->firsts[at]];
    return made;
}

/* Offsets of the texts, in eight bytes each, and their bytes in `text`. */
static PyObject *write_texts(const column *in, const table *of, PyObject **text)
{
    PyObject *made = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)((of->distinct + 1) * sizeof(int64_t)));
    int64_t *ends = made != NULL ? (int64_t *)PyBytes_AsString(made) : NULL;
    if (ends == NULL)
        return NULL;
    ends[0] = 0;
    for (size_t at = 0; at < of->distinct; at++)
        ends[at + 1] = ends[at] + start_of(in, of->firsts[at] + 1, in->width) - start_of(in, of->firsts[at], in->width);
    *text = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)ends[of->distinct]);
    char *to = *text != NULL ? PyBytes_AsString(*text) : NULL;
    for (size_t at = 0; to != NULL && at < of->distinct; at++)
        memcpy(to + ends[at], (const char *)in->bytes.buf + start_of(in, of->firsts[at], in->width),
               (size_t)(ends[at + 1] - ends[at]));
    return made;
}

/* (values, text or None, rows, clicks, rows and clicks of missing values). */
static PyObject *written(const column *in, const table *of, sum missing)
{
    PyObject *sums[2] = {NULL, NULL}, *text = in->texts ? NULL : Py_NewRef(Py_None), *all = NULL;
    PyObject *values = in->texts ? write_texts(in, of, &text) : write_numbers(in, of);
    if (write_sums(of, sums) && values != NULL && text != NULL)
        all = Py_BuildValue("OOOOLL", values, text, sums[0], sums[1], (long long)missing.rows,
                            (long long)missing.clicks);
    Py_XDECREF(values);
    Py_XDECREF(text);
    Py_XDECREF(sums[0]);
    Py_XDECREF(sums[1]);
    return all;
}

static PyObject *counted(const column *in, uint64_t seed)
{
    if (!fits(in))
        return PyErr_Format(PyExc_ValueError, "expected buffers of %zd rows", in->count);
    table of = take_table();
    sum missing = {0, 0};
    const char *wrong = NO_MEMORY;
    PyObject *made = NULL;
    Py_BEGIN_ALLOW_THREADS
    if (start_table(&of, seed) && (wrong = count_rows(in, &of)) == NULL)
        missing = take_missing(&of);
    Py_END_ALLOW_THREADS
    if (wrong == NO_MEMORY)
        PyErr_NoMemory();
    else if (wrong != NULL)
        PyErr_SetString(PyExc_ValueError, wrong);
    else
        made = written(in, &of, missing);
    put_back(&of);
    return made;
}

static PyObject *count(PyObject *Py_UNUSED(self), PyObject *arguments)
{
    unsigned long long seed;
    column in = {0};
    if (!PyArg_ParseTuple(arguments, "Knnny*z*z*z*y*", &seed, &in.width, &in.first, &in.count, &in.values, &in.bytes,
                          &in.valid, &in.weights, &in.clicks))
        return NULL;
    in.texts = in.bytes.obj != NULL;
    PyObject *made = counted(&in, seed);
    Py_buffer *held[] = {&in.values, &in.bytes, &in.valid, &in.weights, &in.clicks};
    for (size_t i = 0; i < sizeof held / sizeof *held; i++)
        PyBuffer_Release(held[i]);
    return made;
}

static PyMethodDef functions[] = {
    {"count", count, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_distinct",
    .m_size = -1,
    .m_methods = functions,
};

PyMODINIT_FUNC PyInit__distinct(void)
{
    PyObject *made = PyModule_Create(&module);
    if (made != NULL && PyModule_AddIntConstant(made, "INTERFACE", INTERFACE) < 0)
        Py_CLEAR(made);
    return made;
}
