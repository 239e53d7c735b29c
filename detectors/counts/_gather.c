/* Some rows of many columns, in any order, as one list of numbers and one of texts; without Python's lock.
 *
 * A sample of a window is a few rows of each column: where columns are many, to ask for each takes longer than to copy
 * its cells. `sparsewatch.detectors.counts.gathered` says what comes in and goes out; columns come as Arrow's C data
 * interface has them, whose sizes are those that Arrow has checked. */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* A checkout may hold a part that was built from other sources: it goes up with every change of `gather`. */
#define INTERFACE 2
/* Rows that are asked for before they are needed. */
#define AHEAD 24
#define FIRST_BYTES (1 << 16)

/* https://arrow.apache.org/docs/format/CDataInterface.html */
struct ArrowArray {
    int64_t length, null_count, offset, n_buffers, n_children;
    const void **buffers;
    struct ArrowArray **children;
    struct ArrowArray *dictionary;
    void (*release)(struct ArrowArray *);
    void *private_data;
};

typedef struct {
    /* Rows, and where each goes among as many. */
    const int64_t *rows, *to;
    int64_t count;
} places;

/* Which columns are taken, and a letter for the type of each: `n` and `i` for numbers of eight bytes and for integers
 * of four, `s` and `l` for texts whose starts have four and eight bytes. */
typedef struct {
    const int32_t *columns;
    const char *letters;
    int64_t count;
} choice;

typedef struct {
    int64_t *numbers, *ends;
    /* A bit a cell of the numbers, and of the texts. */
    uint8_t *valid[2];
    /* Cells of these that were written, and missing ones among them. */
    int64_t done[2], missing[2];
    char *text;
    int64_t held;
} output;

static inline void copy_text(char *to, const char *from, int64_t length)
{
    if (length > 16) {
        memcpy(to, from, (size_t)length);
    } else if (length >= 8) {
        memcpy(to, from, 8);
        memcpy(to + length - 8, from + length - 8, 8);
    } else if (length >= 4) {
        memcpy(to, from, 4);
        memcpy(to + length - 4, from + length - 4, 4);
    } else {
        for (int64_t i = 0; i < length; i++)
            to[i] = from[i];
    }
}

static inline int64_t start_of(const void *starts, int64_t row, int width)
{
    return width == 4 ? ((const int32_t *)starts)[row] : ((const int64_t *)starts)[row];
}

static inline bool is_valid(const uint8_t *bits, int64_t row)
{
    return bits == NULL || (bits[row >> 3] >> (row & 7) & 1);
}

/* Bits are set beforehand: only those of missing cells are cleared. A missing number is 0: equal cells, equal bytes. */
static void take_valid(const struct ArrowArray *column, const places *at, output *all, int kind)
{
    const uint8_t *bits = column->null_count ? column->buffers[0] : NULL;
    for (int64_t i = 0; bits != NULL && i < at->count; i++) {
        int64_t cell = all->done[kind] + at->to[i];
        if (!is_valid(bits, column->offset + at->rows[i])) {
            all->valid[kind][cell >> 3] &= (uint8_t)~(1 << (cell & 7));
            all->missing[kind]++;
            if (!kind)
                all->numbers[cell] = 0;
        }
    }
}

static void take_numbers(const struct ArrowArray *column, const places *at, output *all)
{
    const int64_t *from = (const int64_t *)column->buffers[1] + column->offset;
    int64_t *to = all->numbers + all->done[0];
    for (int64_t i = 0; i < at->count; i++) {
        if (i + AHEAD < at->count)
            __builtin_prefetch(&from[at->rows[i + AHEAD]]);
        to[at->to[i]] = from[at->rows[i]];
    }
}

static void take_short_numbers(const struct ArrowArray *column, const places *at, output *all)
{
    const int32_t *from = (const int32_t *)column->buffers[1] + column->offset;
    int64_t *to = all->numbers + all->done[0];
    for (int64_t i = 0; i < at->count; i++)
        to[at->to[i]] = from[at->rows[i]];
}

static bool make_room(output *all, int64_t bytes)
{
    int64_t held = all->held ? all->held : FIRST_BYTES;
    while (held < bytes)
        held *= 2;
    char *text = held == all->held ? all->text : realloc(all->text, (size_t)held);
    if (text == NULL)
        return false;
    all->text = text;
    all->held = held;
    return true;
}

static inline __attribute__((always_inline)) bool take_texts(
    const struct ArrowArray *column, const places *at, output *all, int width)
{
    const uint8_t *bits = column->null_count ? column->buffers[0] : NULL;
    const void *starts = column->buffers[1];
    const char *text = column->buffers[2];
    int64_t *ends = all->ends + all->done[1];
    for (int64_t i = 0; i < at->count; i++) {
        if (i + AHEAD < at->count)
            __builtin_prefetch((const char *)starts + (column->offset + at->rows[i + AHEAD]) * width);
        int64_t row = column->offset + at->rows[i];
        /* A missing text may have bytes. */
        ends[at->to[i] + 1] = is_valid(bits, row) ? start_of(starts, row + 1, width) - start_of(starts, row, width) : 0;
    }
    for (int64_t i = 0; i < at->count; i++)
        ends[i + 1] += ends[i];
    if (!make_room(all, ends[at->count]))
        return false;
    for (int64_t i = 0; i < at->count; i++) {
        int64_t first = ends[at->to[i]], length = ends[at->to[i] + 1] - first;
        if (length > 0)
            copy_text(all->text + first, text + start_of(starts, column->offset + at->rows[i], width), length);
    }
    return true;
}

static int is_text(char letter)
{
    return letter != 'n' && letter != 'i';
}

static bool take_all(const struct ArrowArray *columns, const choice *of, const places *at, output *all)
{
    for (int64_t i = 0; i < of->count; i++) {
        const struct ArrowArray *column = columns->children[of->columns[i]];
        int kind = is_text(of->letters[i]);
        if (of->letters[i] == 'n')
            take_numbers(column, at, all);
        else if (of->letters[i] == 'i')
            take_short_numbers(column, at, all);
        else if (!(of->letters[i] == 's' ? take_texts(column, at, all, 4) : take_texts(column, at, all, 8)))
            return false;
        take_valid(column, at, all, kind);
        all->done[kind] += at->count;
    }
    return true;
}

/* Whether each row is one of so many, and each place is taken once. */
static bool are_places(const places *at, int64_t rows)
{
    uint8_t *taken = calloc((size_t)at->count + 1, 1);
    bool whole = taken != NULL;
    for (int64_t i = 0; whole && i < at->count; i++) {
        whole = at->rows[i] >= 0 && at->rows[i] < rows && at->to[i] >= 0 && at->to[i] < at->count && !taken[at->to[i]];
        if (whole)
            taken[at->to[i]] = 1;
    }
    free(taken);
    return whole;
}

static bool fits(const struct ArrowArray *columns, const choice *of, const places *at)
{
    bool whole = columns->offset == 0;
    for (int64_t i = 0; whole && i < of->count; i++)
        whole = of->letters[i] != 0 && strchr("nisl", of->letters[i]) != NULL && of->columns[i] >= 0 &&
                of->columns[i] < columns->n_children && columns->children[of->columns[i]]->length == columns->length;
    return whole && are_places(at, columns->length);
}

static PyObject *bits_or_none(const output *all, int kind)
{
    if (!all->missing[kind])
        return Py_NewRef(Py_None);
    return PyBytes_FromStringAndSize((const char *)all->valid[kind], (Py_ssize_t)((all->done[kind] + 7) / 8));
}

static PyObject *make_numbers(int64_t count, int64_t **at)
{
    PyObject *made = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)count * 8);
    *at = made != NULL ? (int64_t *)PyBytes_AsString(made) : NULL;
    return made;
}

static PyObject *gathered(const struct ArrowArray *columns, const choice *of, const places *at)
{
    output all = {0};
    int64_t texts = 0;
    for (int64_t i = 0; i < of->count; i++)
        texts += is_text(of->letters[i]);
    int64_t cells[2] = {(of->count - texts) * at->count, texts * at->count};
    PyObject *numbers = make_numbers(cells[0], &all.numbers);
    PyObject *ends = make_numbers(cells[1] + 1, &all.ends), *made = NULL;
    all.valid[0] = malloc((size_t)(cells[0] + 7) / 8 + 1);
    all.valid[1] = malloc((size_t)(cells[1] + 7) / 8 + 1);
    bool done = numbers != NULL && ends != NULL && all.valid[0] != NULL && all.valid[1] != NULL;
    if (done) {
        Py_BEGIN_ALLOW_THREADS
        for (int kind = 0; kind < 2; kind++) {
            /* Bits behind the last cell are none, whatever came before. */
            memset(all.valid[kind], 0xFF, (size_t)cells[kind] / 8);
            all.valid[kind][cells[kind] / 8] = (uint8_t)((1 << (cells[kind] & 7)) - 1);
        }
        all.ends[0] = 0;
        done = take_all(columns, of, at, &all);
        Py_END_ALLOW_THREADS
    }
    if (done)
        made = Py_BuildValue("ONOy#N", numbers, bits_or_none(&all, 0), ends, all.text != NULL ? all.text : "",
                             (Py_ssize_t)all.ends[cells[1]], bits_or_none(&all, 1));
    else if (!PyErr_Occurred())
        PyErr_NoMemory();
    Py_XDECREF(numbers);
    Py_XDECREF(ends);
    free(all.valid[0]);
    free(all.valid[1]);
    free(all.text);
    return made;
}

static PyObject *gather(PyObject *Py_UNUSED(self), PyObject *arguments)
{
    PyObject *capsule, *made = NULL;
    const char *letters;
    Py_ssize_t n_letters;
    Py_buffer chosen, rows, to;
    if (!PyArg_ParseTuple(arguments, "Oy#y*y*y*", &capsule, &letters, &n_letters, &chosen, &rows, &to))
        return NULL;
    const struct ArrowArray *columns = PyCapsule_GetPointer(capsule, "arrow_array");
    places at = {rows.buf, to.buf, (int64_t)rows.len / 8};
    choice of = {chosen.buf, letters, (int64_t)n_letters};
    if (columns != NULL && (rows.len != to.len || chosen.len != n_letters * 4 || !fits(columns, &of, &at)))
        PyErr_SetString(PyExc_ValueError, "expected rows of these columns, of types n, i, s and l");
    else if (columns != NULL)
        made = gathered(columns, &of, &at);
    PyBuffer_Release(&chosen);
    PyBuffer_Release(&rows);
    PyBuffer_Release(&to);
    return made;
}

static PyMethodDef functions[] = {
    {"gather", gather, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_gather",
    .m_size = -1,
    .m_methods = functions,
};

PyMODINIT_FUNC PyInit__gather(void)
{
    PyObject *made = PyModule_Create(&module);
    if (made != NULL && PyModule_AddIntConstant(made, "INTERFACE", INTERFACE) < 0)
        Py_CLEAR(made);
    return made;
}
