/* Walks the records of one batch of Kafka's message format 2: where each keeps its key, value and headers.

   Kafka writes the length of every field before it, as a number of varying length, so that a record's place is known
   once the records before it have been read. Nothing else needs this loop. It runs without Python's lock, allocates
   nothing and reads no byte outside the batch. `record_walk.py` has the same walk in Python. */

#define Py_LIMITED_API 0x030B0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>

#include "../codecs/_utf8.h"

/* As in `record_walk.py`; another one with every change of what `walk` takes, gives or refuses. */
#define INTERFACE 1

/* As the names of `record_walk.py`; a column has as many cells as the batch may have records. */
enum { OFFSET, TIMESTAMP, KEY, KEY_LENGTH, VALUE, VALUE_LENGTH, HEADERS, SIZE, COLUMNS };

typedef struct {
    const uint8_t *bytes;
    long long at, end;
} Cursor;

typedef struct {
    long long offset, timestamp, rows;
    int is_append_time;
} Batch;

/* A zigzag number of at most 64 bits; 0 where the batch ends within it, or it has more. */
static int read_number(Cursor *cursor, long long *number) {
    uint64_t bits = 0;
    for (int shift = 0; shift < 64; shift += 7) {
        if (cursor->at >= cursor->end) return 0;
        uint64_t byte = cursor->bytes[cursor->at++];
        if (shift == 63 && byte > 1) return 0;
        bits |= (byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            *number = (long long)(bits >> 1) ^ -(long long)(bits & 1);
            return 1;
        }
    }
    return 0;
}

/* Bytes after their length; a length below zero stands for none. */
static int read_bytes(Cursor *cursor, long long *start, long long *length) {
    if (!read_number(cursor, length)) return 0;
    *start = cursor->at;
    if (*length < 0) {
        *length = -1;
        return 1;
    }
    if (*length > cursor->end - cursor->at) return 0;
    cursor->at += *length;
    return 1;
}

static int pass_headers(Cursor *cursor) {
    long long count, start, length;
    if (!read_number(cursor, &count) || count < 0) return 0;
    for (; count; count--) {
        if (!read_bytes(cursor, &start, &length) || length < 0) return 0;
        const uint8_t *name = cursor->bytes + start;
        if (!is_utf8(name, name + length)) return 0;
        if (!read_bytes(cursor, &start, &length)) return 0;
    }
    return 1;
}

static int read_record(Cursor *cursor, const Batch *batch, long long *cells) {
    long long size, attributes, later, further;
    if (!read_number(cursor, &size)) return 0;
    long long start = cursor->at;
    if (!read_number(cursor, &attributes) || !read_number(cursor, &later) || !read_number(cursor, &further)) return 0;
    if (batch->is_append_time) later = 0;
    if (__builtin_add_overflow(batch->timestamp, later, &cells[TIMESTAMP])) return 0;
    if (__builtin_add_overflow(batch->offset, further, &cells[OFFSET])) return 0;
    if (!read_bytes(cursor, &cells[KEY], &cells[KEY_LENGTH])) return 0;
    if (!read_bytes(cursor, &cells[VALUE], &cells[VALUE_LENGTH])) return 0;
    cells[HEADERS] = cursor->at;
    cells[SIZE] = size;
    return pass_headers(cursor) && cursor->at - start == size;
}

static long long read_records(Cursor *cursor, const Batch *batch, long long *columns) {
    long long cells[COLUMNS];
    for (long long row = 0; row < batch->rows; row++) {
        Cursor before = *cursor;
        if (!read_record(cursor, batch, cells)) {
            *cursor = before;
            return row;
        }
        for (int column = 0; column < COLUMNS; column++) columns[column * batch->rows + row] = cells[column];
    }
    return batch->rows;
}

static PyObject *walk(PyObject *Py_UNUSED(module), PyObject *args) {
    Py_buffer data, out;
    Cursor cursor;
    Batch batch;
    if (!PyArg_ParseTuple(args, "y*LLLLpw*", &data, &cursor.at, &cursor.end, &batch.offset, &batch.timestamp,
                          &batch.is_append_time, &out))
        return NULL;
    PyObject *found = NULL;
    batch.rows = out.len / (COLUMNS * (Py_ssize_t)sizeof(long long));
    if (cursor.at < 0 || cursor.end < cursor.at || cursor.end > data.len || (uintptr_t)out.buf % sizeof(long long)) {
        PyErr_SetString(PyExc_ValueError, "the batch lies outside its buffer, or the cells are not aligned");
    } else {
        long long rows;
        cursor.bytes = data.buf;
        Py_BEGIN_ALLOW_THREADS
        rows = read_records(&cursor, &batch, out.buf);
        Py_END_ALLOW_THREADS
        found = Py_BuildValue("LL", rows, cursor.at);
    }
    PyBuffer_Release(&data);
    PyBuffer_Release(&out);
    return found;
}

static PyMethodDef methods[] = {
    {"walk", walk, METH_VARARGS, "See `sparsewatch.transforms.kafka.record_walk.walk`."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_record_walk", NULL, 0, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__record_walk(void) {
    PyObject *made = PyModule_Create(&definition);
    if (made != NULL && PyModule_AddIntConstant(made, "INTERFACE", INTERFACE) < 0) Py_CLEAR(made);
    return made;
}
