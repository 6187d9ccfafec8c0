/* A model's network as an ONNX graph (onnx.proto3, opset 17): image [N][channels][D][H][W] in,
 * logits [N][classes][D][H][W] out, N, D, H, W free (D, H, W multiples of 2^(stages-1)). Weights
 * keep the names of the model file; the heads of deep supervision are left out. */
#include "exchange/export.h"
#include "exchange/protobuf.h"

#include <stdlib.h>

enum { IR_VERSION = 8, OPSET = 17 };

/* Field numbers of onnx.proto3. */
enum {
    MODEL_IR = 1,
    MODEL_PRODUCER,
    MODEL_PRODUCER_VERSION,
    MODEL_GRAPH = 7,
    MODEL_OPSET,
    MODEL_METADATA = 14
};
enum { GRAPH_NODE = 1, GRAPH_NAME, GRAPH_WEIGHT = 5, GRAPH_INPUT = 11, GRAPH_OUTPUT };
enum { NODE_INPUT = 1, NODE_OUTPUT, NODE_NAME, NODE_OPERATOR, NODE_ATTRIBUTE };
enum {
    ATTRIBUTE_NAME = 1,
    ATTRIBUTE_FLOAT,
    ATTRIBUTE_INTEGER,
    ATTRIBUTE_INTEGERS = 8,
    ATTRIBUTE_TYPE = 20
};
enum { TYPE_FLOAT = 1, TYPE_INTEGER = 2, TYPE_INTEGERS = 7 }; /* AttributeProto.AttributeType */
enum { TENSOR_EXTENT = 1, TENSOR_TYPE, TENSOR_NAME = 8, TENSOR_RAW };
enum { DATA_FLOAT = 1 }; /* TensorProto.DataType */

/* ---- nodes ---------------------------------------------------------------------------------- */

/* name: what the node's output is called, too. inputs ends with NULL. */
static void add_node(text *graph, const char *operator, const char * name,
                     const char *const *inputs, text *attributes)
{
    text node = {0};
    for (; *inputs; inputs++)
        put_string(&node, NODE_INPUT, *inputs);
    put_string(&node, NODE_OUTPUT, name);
    put_string(&node, NODE_NAME, name);
    put_string(&node, NODE_OPERATOR, operator);
    if (attributes->length)
        text_append_bytes(&node, attributes->data, attributes->length);
    node.failed = node.failed || attributes->failed;
    text_free(attributes);
    put_message(graph, GRAPH_NODE, &node);
}

static void add_integers(text *attributes, const char *name, size_t count, int64_t value)
{
    text a = {0};
    put_string(&a, ATTRIBUTE_NAME, name);
    for (size_t i = 0; i < count; i++)
        put_integer(&a, ATTRIBUTE_INTEGERS, value);
    put_integer(&a, ATTRIBUTE_TYPE, TYPE_INTEGERS);
    put_message(attributes, NODE_ATTRIBUTE, &a);
}

static void add_integer(text *attributes, const char *name, int64_t value)
{
    text a = {0};
    put_string(&a, ATTRIBUTE_NAME, name);
    put_integer(&a, ATTRIBUTE_INTEGER, value);
    put_integer(&a, ATTRIBUTE_TYPE, TYPE_INTEGER);
    put_message(attributes, NODE_ATTRIBUTE, &a);
}

static void add_float(text *attributes, const char *name, float value)
{
    text a = {0};
    put_string(&a, ATTRIBUTE_NAME, name);
    put_float(&a, ATTRIBUTE_FLOAT, value);
    put_integer(&a, ATTRIBUTE_TYPE, TYPE_FLOAT);
    put_message(attributes, NODE_ATTRIBUTE, &a);
}

typedef char node_name[48];

/* A convolution of size k, its parameters "<name>.weight" and "<name>.bias"; gives `name` back. */
static const char *add_convolution(text *graph, const char *operator, const char * name,
                                   const char *input, int64_t k, int64_t stride)
{
    node_name weight, bias;
    text attributes = {0};
    snprintf(weight, sizeof weight, "%.32s.weight", name);
    snprintf(bias, sizeof bias, "%.32s.bias", name);
    add_integers(&attributes, "kernel_shape", 3, k);
    add_integers(&attributes, "strides", 3, stride);
    add_integers(&attributes, "pads", 6, k == 3 ? 1 : 0);
    add_node(graph, operator, name, (const char *const[]){input, weight, bias, NULL}, &attributes);
    return name;
}

/* Convolution 3x3x3, instance norm, leaky ReLU: layer `index` of a stage. `out` receives the name
 * of its output. */
static void add_layer(text *graph, const char *stage, int index, const char *input, int64_t stride,
                      node_name out)
{
    node_name convolved, norm, weight, bias;
    text attributes = {0};
    snprintf(convolved, sizeof convolved, "%.24s.conv%d", stage, index);
    snprintf(norm, sizeof norm, "%.24s.norm%d", stage, index);
    snprintf(weight, sizeof weight, "%.32s.weight", norm);
    snprintf(bias, sizeof bias, "%.32s.bias", norm);
    add_convolution(graph, "Conv", convolved, input, 3, stride);
    add_float(&attributes, "epsilon", NORM_EPSILON);
    add_node(graph, "InstanceNormalization", norm,
             (const char *const[]){convolved, weight, bias, NULL}, &attributes);
    snprintf(out, sizeof(node_name), "%.24s.relu%d", stage, index);
    add_float(&attributes, "alpha", LEAKY_SLOPE);
    add_node(graph, "LeakyRelu", out, (const char *const[]){norm, NULL}, &attributes);
}

/* ---- the graph ------------------------------------------------------------------------------ */

static void add_network(text *graph, int stages)
{
    node_name stage, first, x = "image", skips[16];
    for (int s = 0; s < stages; s++) {
        snprintf(stage, sizeof stage, "encoder.%d", s);
        add_layer(graph, stage, 0, x, s ? 2 : 1, first);
        add_layer(graph, stage, 1, first, 1, x);
        memcpy(skips[s], x, sizeof x);
    }
    for (int s = stages - 2; s >= 0; s--) {
        node_name up, joined;
        text attributes = {0};
        snprintf(up, sizeof up, "decoder.%d.up", s);
        snprintf(joined, sizeof joined, "decoder.%d.joined", s);
        snprintf(stage, sizeof stage, "decoder.%d", s);
        add_convolution(graph, "ConvTranspose", up, x, 2, 2);
        add_integer(&attributes, "axis", 1);
        add_node(graph, "Concat", joined, (const char *const[]){up, skips[s], NULL}, &attributes);
        add_layer(graph, stage, 0, joined, 1, first);
        add_layer(graph, stage, 1, first, 1, x);
    }
    /* the head's node is "logits"; its parameters are the model file's head.0 */
    text attributes = {0};
    add_integers(&attributes, "kernel_shape", 3, 1);
    add_node(graph, "Conv", "logits",
             (const char *const[]){x, "head.0.weight", "head.0.bias", NULL}, &attributes);
}

static void add_weight(text *graph, const net_parameter *p, const float *weights)
{
    text weight = {0};
    for (int i = 0; i < p->dimensions; i++)
        put_integer(&weight, TENSOR_EXTENT, p->shape[i]);
    put_integer(&weight, TENSOR_TYPE, DATA_FLOAT);
    put_string(&weight, TENSOR_NAME, p->name);
    put_bytes(&weight, TENSOR_RAW, weights + p->offset, (size_t)p->count * sizeof(float));
    put_message(graph, GRAPH_WEIGHT, &weight);
}

/* ValueInfoProto: a float tensor [batch][channels][depth][height][width]. */
static void add_value(text *graph, unsigned field, const char *name, int channels)
{
    static const char *const extents[5] = {"batch", NULL, "depth", "height", "width"};
    text shape = {0}, array = {0}, type = {0}, value = {0};
    for (size_t i = 0; i < COUNT_OF(extents); i++) {
        text extent = {0};
        if (extents[i])
            put_string(&extent, 2, extents[i]); /* dim_param */
        else
            put_integer(&extent, 1, channels); /* dim_value */
        put_message(&shape, 1, &extent);
    }
    put_integer(&array, 1, DATA_FLOAT);
    put_message(&array, 2, &shape);
    put_message(&type, 1, &array);
    put_string(&value, 1, name);
    put_message(&value, 2, &type);
    put_message(graph, field, &value);
}

static void make_graph(const model *m, const net_parameter *parameters, size_t count, text *graph)
{
    add_network(graph, m->config.stages);
    put_string(graph, GRAPH_NAME, "twinseg");
    for (size_t i = 0; i < count; i++)
        add_weight(graph, &parameters[i], m->weights);
    add_value(graph, GRAPH_INPUT, "image", m->config.in_channels);
    add_value(graph, GRAPH_OUTPUT, "logits", m->config.classes);
}

ts_status exchange_export_onnx(const model *m, const char *path, ts_error *error)
{
    net_parameter *parameters;
    size_t count;
    model_metadata metadata = {0};
    text file = {0}, graph = {0}, opset = {0};
    ts_status status = export_parameters(m, &parameters, &count, error);
    if (status != TS_OK)
        return status;
    status = model_metadata_make(m, &metadata, error);
    if (status == TS_OK) {
        make_graph(m, parameters, count, &graph);
        put_integer(&file, MODEL_IR, IR_VERSION);
        put_string(&file, MODEL_PRODUCER, "twinseg");
        put_string(&file, MODEL_PRODUCER_VERSION, ts_version());
        put_message(&file, MODEL_GRAPH, &graph);
        put_integer(&opset, 2, OPSET); /* OperatorSetIdProto.version, of ONNX's own domain */
        put_message(&file, MODEL_OPSET, &opset);
    }
    for (size_t i = 0; i < metadata.count; i++) {
        text entry = {0};
        put_string(&entry, 1, metadata.keys[i]);
        put_string(&entry, 2, metadata.values[i]);
        put_message(&file, MODEL_METADATA, &entry);
    }
    if (status == TS_OK)
        status = file.failed ? error_set(error, TS_MEMORY, "out of memory for '%s'", path)
                             : file_put(path, file.data, file.length, error);
    text_free(&file);
    model_metadata_free(&metadata);
    free(parameters);
    return status;
}
