/* Plain JSON records to columns in the layout of Arrow, without Python's lock.
 *
 * A record is plain if there is no doubt about it: one object of valid JSON and UTF-8, each known key once. Of all
 * others only the place is told, and their row is null. A value of a plain record that is not of its column's type and
 * range is handed out as it is written. `sparsewatch.transforms.codecs` decides about both. */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>

#include "_plain_record.h"

/* A checkout may hold a part that was built from other sources: it goes up with every change of what is below. */
#define INTERFACE 3

/* Memory that Arrow's arrays share. */
typedef struct {
    PyObject_HEAD
    void *memory;
    Py_ssize_t size;
} buffer_object;

typedef struct {
    PyObject_HEAD
    reader in;
    /* Whether a thread reads right now. */
    bool busy;
} decoder_object;

typedef struct {
    cursor start;
    size_t length;
} span;

static PyObject *buffer_type;

static void free_object(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(self);
    Py_DECREF(type);
}

static void buffer_dealloc(PyObject *self)
{
    free(((buffer_object *)self)->memory);
    free_object(self);
}

static int buffer_get(PyObject *self, Py_buffer *view, int flags)
{
    buffer_object *own = (buffer_object *)self;
    return PyBuffer_FillInfo(view, self, own->memory, own->size, 1, flags);
}

/* Takes the memory over, also where it fails. */
static PyObject *buffer_of(void *memory, size_t size)
{
    allocfunc allocate = (allocfunc)PyType_GetSlot((PyTypeObject *)buffer_type, Py_tp_alloc);
    PyObject *made = memory == NULL ? PyErr_NoMemory() : allocate((PyTypeObject *)buffer_type, 0);
    if (made == NULL) {
        free(memory);
        return NULL;
    }
    ((buffer_object *)made)->memory = memory;
    ((buffer_object *)made)->size = (Py_ssize_t)size;
    return made;
}

static void free_heap(heap *of)
{
    free(of->memory);
    *of = (heap){0};
}

static void forget_rows(reader *in)
{
    for (size_t i = 0; i < in->count; i++) {
        free_buffers(&in->columns[i]);
        in->columns[i].seen = 0;
        if (in->columns[i].items != NULL)
            free_buffers(in->columns[i].items);
    }
    free_heap(&in->odd);
    free_heap(&in->aside.rows);
    free_heap(&in->aside.places);
    free_heap(&in->aside.ends);
    free_heap(&in->aside.texts);
    in->rows = 0;
    in->others = false;
}

static void decoder_dealloc(PyObject *self)
{
    reader *in = &((decoder_object *)self)->in;
    forget_rows(in);
    for (size_t i = 0; i < in->count; i++) {
        free(in->columns[i].key);
        free(in->columns[i].items);
    }
    free(in->columns);
    free(in->places);
    free_object(self);
}

/* The key as it stands in records: names that would be escaped there are refused. */
static bool set_key(column *to, PyObject *name)
{
    char *text;
    Py_ssize_t length;
    if (PyBytes_AsStringAndSize(name, &text, &length) < 0)
        return false;
    for (Py_ssize_t i = 0; i < length; i++) {
        if (is_stop((unsigned char)text[i])) {
            PyErr_SetString(PyExc_ValueError, "expected names without quotes, backslashes and controls");
            return false;
        }
    }
    to->key_length = (size_t)length + 3;
    to->key = calloc(1, to->key_length + 8);
    if (to->key == NULL) {
        PyErr_NoMemory();
        return false;
    }
    to->key[0] = '"';
    memcpy(to->key + 1, text, (size_t)length);
    memcpy(to->key + 1 + length, "\":", 2);
    to->key_word = load_word(to->key);
    memset(&to->key_mask, 0xff, to->key_length < 8 ? to->key_length : 8);
    return true;
}

static bool is_fixed(char kind)
{
    return width_of(kind) || kind == BOOL;
}

static bool set_kind(column *to, PyObject *kind)
{
    char *text;
    Py_ssize_t length;
    if (PyBytes_AsStringAndSize(kind, &text, &length) < 0)
        return false;
    to->kind = text[0];
    if (length == 1 && (is_fixed(text[0]) || text[0] == TEXT))
        return true;
    if (length != 3 || text[0] != LIST || text[1] != 'l' || !is_fixed(text[2])) {
        PyErr_Format(PyExc_ValueError, "expected one of the kinds c, i, l, f, g, b, u or a list of them, got %R", kind);
        return false;
    }
    to->items = calloc(1, sizeof *to->items);
    if (to->items == NULL) {
        PyErr_NoMemory();
        return false;
    }
    to->items->kind = text[2];
    return true;
}

static bool set_places(reader *in)
{
    size_t size = 8;
    while (size < 2 * in->count)
        size *= 2;
    in->place_mask = size - 1;
    in->places = malloc(size * sizeof *in->places);
    if (in->places == NULL) {
        PyErr_NoMemory();
        return false;
    }
    for (size_t i = 0; i < size; i++)
        in->places[i] = in->count;
    for (size_t i = 0; i < in->count; i++) {
        column *own = &in->columns[i];
        size_t at = hash_of(own->key, own->key_length - 1) & in->place_mask;
        if (find_column(in, own->key, own->key_length - 1) != in->count) {
            PyErr_SetString(PyExc_ValueError, "expected each name once");
            return false;
        }
        while (in->places[at] != in->count)
            at = (at + 1) & in->place_mask;
        in->places[at] = i;
        own->next = i + 1;
    }
    return true;
}

static bool set_columns(reader *in, PyObject *names, PyObject *kinds)
{
    Py_ssize_t count = PyTuple_Size(names);
    if (count < 1 || PyTuple_Size(kinds) != count) {
        PyErr_SetString(PyExc_ValueError, "expected at least one name, and as many kinds");
        return false;
    }
    in->columns = calloc((size_t)count, sizeof *in->columns);
    if (in->columns == NULL) {
        PyErr_NoMemory();
        return false;
    }
    in->count = (size_t)count;
    for (Py_ssize_t i = 0; i < count; i++)
        if (!set_key(&in->columns[i], PyTuple_GetItem(names, i)) || !set_kind(&in->columns[i], PyTuple_GetItem(kinds, i)))
            return false;
    return set_places(in);
}

static PyObject *decoder_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    static char *words[] = {"names", "kinds", NULL};
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    PyObject *names, *kinds, *self;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "O!O!", words, &PyTuple_Type, &names, &PyTuple_Type, &kinds))
        return NULL;
    self = allocate(type, 0);
    if (self != NULL && !set_columns(&((decoder_object *)self)->in, names, kinds)) {
        Py_DECREF(self);
        return NULL;
    }
    return self;
}

static bool make_rows(reader *in, size_t more)
{
    for (size_t i = 0; i < in->count; i++)
        if (!make_room(&in->columns[i], in->rows + more))
            return false;
    return true;
}

static bool read_spans(reader *in, const span *spans, size_t count)
{
    if (!make_rows(in, count))
        return false;
    for (size_t i = 0; i < count; i++)
        if (read_record(in, spans[i].start, spans[i].length) == NO_MEMORY)
            return false;
    return true;
}

static bool is_busy(PyObject *self)
{
    if (((decoder_object *)self)->busy)
        PyErr_SetString(PyExc_RuntimeError, "expected one thread at a time");
    return ((decoder_object *)self)->busy;
}

/* Reads without Python's lock; what the spans lie in must be held meanwhile. */
static PyObject *add(PyObject *self, const span *spans, Py_ssize_t count)
{
    decoder_object *own = (decoder_object *)self;
    bool done;
    if (is_busy(self))
        return NULL;
    own->busy = true;
    Py_BEGIN_ALLOW_THREADS
    done = read_spans(&own->in, spans, (size_t)count);
    Py_END_ALLOW_THREADS
    own->busy = false;
    if (!done) {
        forget_rows(&own->in);
        return PyErr_NoMemory();
    }
    Py_RETURN_NONE;
}

static span *new_spans(Py_ssize_t count)
{
    span *spans = calloc(count ? (size_t)count : 1, sizeof *spans);
    if (spans == NULL)
        PyErr_NoMemory();
    return spans;
}

static PyObject *decoder_decode(PyObject *self, PyObject *values)
{
    /* A tuple of our own: others may change a list while it is read. */
    PyObject *held = PySequence_Tuple(values), *result = NULL;
    Py_ssize_t count = held == NULL ? 0 : PyTuple_Size(held), i;
    span *spans = held == NULL ? NULL : new_spans(count);
    if (spans != NULL) {
        for (i = 0; i < count; i++) {
            char *start;
            Py_ssize_t length;
            if (PyBytes_AsStringAndSize(PyTuple_GetItem(held, i), &start, &length) < 0)
                break;
            spans[i] = (span){(cursor)start, (size_t)length};
        }
        if (i == count)
            result = add(self, spans, count);
    }
    free(spans);
    Py_XDECREF(held);
    return result;
}

static bool is_int64s(const Py_buffer *view)
{
    return view->len % (Py_ssize_t)sizeof(int64_t) == 0 && view->itemsize == (Py_ssize_t)sizeof(int64_t);
}

static span *spans_within(const Py_buffer *data, const Py_buffer *starts, const Py_buffer *lengths)
{
    Py_ssize_t count = starts->len / (Py_ssize_t)sizeof(int64_t);
    span *spans;
    if (!is_int64s(starts) || !is_int64s(lengths) || starts->len != lengths->len) {
        PyErr_SetString(PyExc_ValueError, "expected as many lengths as starts, each of 64 bits");
        return NULL;
    }
    spans = new_spans(count);
    for (Py_ssize_t i = 0; spans != NULL && i < count; i++) {
        int64_t start, length;
        memcpy(&start, (char *)starts->buf + (size_t)i * sizeof start, sizeof start);
        memcpy(&length, (char *)lengths->buf + (size_t)i * sizeof length, sizeof length);
        if (start < 0 || length < 0 || start > data->len || length > data->len - start) {
            PyErr_Format(PyExc_ValueError, "expected records within %zd bytes", data->len);
            free(spans);
            return NULL;
        }
        spans[i] = (span){(cursor)data->buf + start, (size_t)length};
    }
    return spans;
}

static PyObject *decoder_decode_spans(PyObject *self, PyObject *args)
{
    PyObject *objects[3], *result = NULL;
    Py_buffer views[3];
    int held = 0;
    span *spans;
    if (!PyArg_ParseTuple(args, "OOO", &objects[0], &objects[1], &objects[2]))
        return NULL;
    while (held < 3 && PyObject_GetBuffer(objects[held], &views[held], PyBUF_C_CONTIGUOUS) == 0)
        held++;
    spans = held == 3 ? spans_within(&views[0], &views[1], &views[2]) : NULL;
    if (spans != NULL)
        result = add(self, spans, views[1].len / (Py_ssize_t)sizeof(int64_t));
    free(spans);
    while (held > 0)
        PyBuffer_Release(&views[--held]);
    return result;
}

/* Hands memory over: a buffer, or None for nothing. */
static PyObject *hand_over(void **memory, size_t size, bool present)
{
    void *given = *memory;
    *memory = NULL;
    if (present)
        return buffer_of(given, size);
    free(given);
    return Py_NewRef(Py_None);
}

/* (rows, rows that are null, [validity, ...]): buffers as Arrow lays out a column of the kind; a list's has its items'
 * column behind them. */
static PyObject *take_column(column *from, size_t rows)
{
    size_t nulls = from->nulls, length = from->length, width = width_of(from->kind);
    PyObject *buffers[3] = {NULL, NULL, NULL}, *result = NULL;
    int count = 0;
    if (!make_room(from, rows ? rows : 1))
        return PyErr_NoMemory();
    if (from->kind == TEXT && !make_text_room(from, 8))
        return PyErr_NoMemory();
    buffers[count++] = hand_over((void **)&from->valid, bits_size(rows), nulls > 0);
    if (from->offsets != NULL)
        buffers[count++] = hand_over((void **)&from->offsets, (rows + 1) * sizeof(int32_t), true);
    if (from->kind == LIST)
        buffers[count++] = take_column(from->items, length);
    else
        buffers[count++] = hand_over(
            (void **)&from->data, from->kind == TEXT ? length : width ? rows * width : bits_size(rows), true);
    free_buffers(from);
    if (buffers[0] != NULL && buffers[1] != NULL && (count < 3 || buffers[2] != NULL))
        result = count < 3 ? Py_BuildValue("nn(OO)", (Py_ssize_t)rows, (Py_ssize_t)nulls, buffers[0], buffers[1])
                           : Py_BuildValue(
                                 "nn(OOO)", (Py_ssize_t)rows, (Py_ssize_t)nulls, buffers[0], buffers[1], buffers[2]);
    for (int i = 0; i < count; i++)
        Py_XDECREF(buffers[i]);
    return result;
}

static PyObject *take_columns(reader *in)
{
    PyObject *columns = PyList_New((Py_ssize_t)in->count);
    for (size_t i = 0; columns != NULL && i < in->count; i++) {
        PyObject *one = take_column(&in->columns[i], in->rows);
        if (one == NULL || PyList_SetItem(columns, (Py_ssize_t)i, one) < 0)
            Py_CLEAR(columns);
    }
    return columns;
}

/* Hands the memory of a heap over. */
static PyObject *take_heap(heap *from)
{
    heap given = *from;
    *from = (heap){0};
    return given.memory == NULL ? PyBytes_FromStringAndSize(NULL, 0) : buffer_of(given.memory, given.size);
}

static PyObject *decoder_aside(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    values_aside *from = &((decoder_object *)self)->in.aside;
    heap *heaps[4] = {&from->rows, &from->places, &from->ends, &from->texts};
    PyObject *result;
    if (is_busy(self))
        return NULL;
    result = PyTuple_New(4);
    for (Py_ssize_t i = 0; result != NULL && i < 4; i++) {
        PyObject *one = take_heap(heaps[i]);
        if (one == NULL || PyTuple_SetItem(result, i, one) < 0)
            Py_CLEAR(result);
    }
    return result;
}

static PyObject *decoder_others(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return is_busy(self) ? NULL : PyBool_FromLong(((decoder_object *)self)->in.others);
}

static bool clear_row(reader *in, int64_t row)
{
    if (row < 0 || (uint64_t)row >= in->rows) {
        PyErr_Format(PyExc_ValueError, "expected rows below %zd", (Py_ssize_t)in->rows);
        return false;
    }
    for (size_t i = 0; i < in->count; i++) {
        in->columns[i].nulls += bit_at(in->columns[i].valid, (size_t)row);
        put_bit(in->columns[i].valid, (size_t)row, false);
    }
    return true;
}

static PyObject *decoder_clear(PyObject *self, PyObject *rows)
{
    reader *in = &((decoder_object *)self)->in;
    Py_buffer view;
    bool done;
    if (is_busy(self) || PyObject_GetBuffer(rows, &view, PyBUF_C_CONTIGUOUS) < 0)
        return NULL;
    done = is_int64s(&view);
    if (!done)
        PyErr_SetString(PyExc_ValueError, "expected rows of 64 bits");
    for (Py_ssize_t at = 0; done && at < view.len; at += (Py_ssize_t)sizeof(int64_t)) {
        int64_t row;
        memcpy(&row, (char *)view.buf + at, sizeof row);
        done = clear_row(in, row);
    }
    PyBuffer_Release(&view);
    return done ? Py_NewRef(Py_None) : NULL;
}

static PyObject *decoder_finish(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    reader *in = &((decoder_object *)self)->in;
    PyObject *columns, *odd = NULL, *result = NULL;
    if (is_busy(self))
        return NULL;
    columns = take_columns(in);
    if (columns != NULL)
        odd = take_heap(&in->odd);
    if (odd != NULL)
        result = Py_BuildValue("OO", columns, odd);
    Py_XDECREF(columns);
    Py_XDECREF(odd);
    forget_rows(in);
    return result;
}

static PyMethodDef decoder_methods[] = {
    {"decode", decoder_decode, METH_O, NULL},
    {"decode_spans", decoder_decode_spans, METH_VARARGS, NULL},
    {"aside", decoder_aside, METH_NOARGS, NULL},
    {"others", decoder_others, METH_NOARGS, NULL},
    {"clear", decoder_clear, METH_O, NULL},
    {"finish", decoder_finish, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot buffer_slots[] = {
    {Py_tp_dealloc, buffer_dealloc},
    {Py_bf_getbuffer, buffer_get},
    {0, NULL},
};

static PyType_Slot decoder_slots[] = {
    {Py_tp_new, decoder_new},
    {Py_tp_dealloc, decoder_dealloc},
    {Py_tp_methods, decoder_methods},
    {0, NULL},
};

static PyType_Spec buffer_spec = {
    .name = "sparsewatch.transforms.codecs._plain_json.Buffer",
    .basicsize = sizeof(buffer_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = buffer_slots,
};

static PyType_Spec decoder_spec = {
    .name = "sparsewatch.transforms.codecs._plain_json.Decoder",
    .basicsize = sizeof(decoder_object),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = decoder_slots,
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_plain_json",
    .m_size = -1,
};

PyMODINIT_FUNC PyInit__plain_json(void)
{
    PyObject *made = PyModule_Create(&module), *decoder_type = NULL;
    if (made == NULL)
        return NULL;
    if (!make_locale())
        PyErr_NoMemory();
    else if ((buffer_type = PyType_FromSpec(&buffer_spec)) != NULL)
        decoder_type = PyType_FromSpec(&decoder_spec);
    if (decoder_type == NULL || PyModule_AddObjectRef(made, "Decoder", decoder_type) < 0
        || PyModule_AddIntConstant(made, "INTERFACE", INTERFACE) < 0)
        Py_CLEAR(made);
    Py_XDECREF(decoder_type);
    return made;
}
