"""Examples of the operators that Keras layers become, and what is wrong where one thing is changed."""

import numpy as np
from operator_files import operator_file

F, INT, I64, B = "float32", "int32", "int64", "bool"
SAME, VALID = 0, 1
IMAGE = (F, (1, 6, 7, 4))


def ints(*values):
    return np.array(values, INT)


def floats(*shape):
    return np.linspace(-1, 1, int(np.prod(shape))).reshape(shape).astype(F)


def int8(*shape):
    return (np.arange(np.prod(shape)) % 251 - 125).reshape(shape).astype("int8")


def number(value, kind=INT):
    return np.array(value, kind)


def conv(**more):
    return "Conv2DOptions", {"padding": VALID, "strideW": 2, "strideH": 1, **more}


def depthwise(**more):
    return "DepthwiseConv2DOptions", {
        "padding": SAME,
        "strideW": 1,
        "strideH": 1,
        "depthMultiplier": 2,
        **more,
    }


def pool(**more):
    sizes = {"strideW": 2, "strideH": 2, "filterWidth": 3, "filterHeight": 2}
    return "Pool2DOptions", {"padding": SAME, **sizes, **more}


def conv3d(**more):
    return "Conv3DOptions", {"padding": VALID, "strideD": 1, "strideW": 1, "strideH": 2, **more}


def transposed(**more):
    return "TransposeConvOptions", {"padding": SAME, "strideW": 2, "strideH": 2, **more}


def resized(name="ResizeBilinearOptions", **more):
    return name, {"halfPixelCenters": True, **more}


PADS, WINDOWED = np.array([[0, 0], [1, 2]], INT), (F, (1, 3, 4, 4))
ROWS = (F, (3, 5))

CASES = {
    "conv": ("CONV_2D", [IMAGE, floats(5, 3, 3, 4), floats(5)], [(F, (1, 4, 3, 5))], conv()),
    "conv dilated": ("CONV_2D", [IMAGE, floats(5, 2, 2, 4), floats(5)], [(F, (1, 4, 3, 5))],
                     conv(dilationHFactor=2, dilationWFactor=2)),
    "conv in groups": ("CONV_2D", [IMAGE, floats(6, 3, 3, 2), floats(6)], [(F, (1, 4, 3, 6))], conv()),
    "conv int8": ("CONV_2D", [IMAGE, int8(5, 3, 3, 4), floats(5)], [(F, (1, 4, 3, 5))], conv(), {1: (5, 0)}),
    "depthwise": ("DEPTHWISE_CONV_2D", [IMAGE, floats(1, 3, 3, 8), floats(8)], [(F, (1, 6, 7, 8))],
                  depthwise()),
    "depthwise int8": ("DEPTHWISE_CONV_2D", [IMAGE, int8(1, 3, 3, 8), floats(8)], [(F, (1, 6, 7, 8))],
                       depthwise(), {1: (8, 3)}),
    "transposed": ("TRANSPOSE_CONV", [ints(1, 11, 14, 5), floats(5, 3, 3, 4), IMAGE, floats(5)],
                   [(F, (1, 11, 14, 5))], transposed()),
    "transposed int8": ("TRANSPOSE_CONV", [ints(1, 12, 14, 5), int8(5, 3, 3, 4), IMAGE, floats(5)],
                        [(F, (1, 12, 14, 5))], transposed(), {1: (5, 0)}),
    "conv 3d": ("CONV_3D", [(F, (1, 5, 6, 7, 2)), floats(2, 3, 3, 2, 4), None], [(F, (1, 4, 2, 5, 4))],
                conv3d()),
    "transposed 3d": ("CONV_3D_TRANSPOSE",
                      [ints(1, 5, 6, 7, 2), floats(2, 3, 3, 2, 4), (F, (1, 4, 2, 5, 4)), None],
                      [(F, (1, 5, 6, 7, 2))], conv3d()),
    "average": ("AVERAGE_POOL_2D", [IMAGE], [WINDOWED], pool()),
    "largest": ("MAX_POOL_2D", [IMAGE], [(F, (1, 3, 3, 4))], pool(padding=VALID)),
    "l2 pool": ("L2_POOL_2D", [IMAGE], [WINDOWED], pool()),
    "local response": ("LOCAL_RESPONSE_NORMALIZATION", [IMAGE], [IMAGE],
                       ("LocalResponseNormalizationOptions", {"radius": 2, "bias": 1.0, "alpha": 1.0})),
    "bilinear": ("RESIZE_BILINEAR", [IMAGE, ints(3, 9)], [(F, (1, 3, 9, 4))], resized()),
    "nearest": ("RESIZE_NEAREST_NEIGHBOR", [IMAGE, ints(3, 9)], [(F, (1, 3, 9, 4))],
                resized("ResizeNearestNeighborOptions")),
    "space to depth": ("SPACE_TO_DEPTH", [(F, (1, 4, 6, 2))], [(F, (1, 2, 3, 8))],
                       ("SpaceToDepthOptions", {"blockSize": 2})),
    "depth to space": ("DEPTH_TO_SPACE", [(F, (1, 2, 3, 8))], [(F, (1, 4, 6, 2))],
                       ("DepthToSpaceOptions", {"blockSize": 2})),
    "space to batch": ("SPACE_TO_BATCH_ND", [(F, (1, 6, 5, 2)), ints(2, 2), np.array([[0, 0], [0, 1]], INT)],
                       [(F, (4, 3, 3, 2))], None),
    "batch to space": ("BATCH_TO_SPACE_ND", [(F, (4, 3, 3, 2)), ints(2, 2), np.array([[0, 0], [0, 1]], INT)],
                       [(F, (1, 6, 5, 2))], None),
    "mirrored": ("MIRROR_PAD", [ROWS, PADS], [(F, (3, 8))], ("MirrorPadOptions", {"mode": 0})),
    "mirrored with borders": ("MIRROR_PAD", [ROWS, PADS], [(F, (3, 8))], ("MirrorPadOptions", {"mode": 1})),
    "padded bools": ("PAD", [(B, (3, 5)), PADS], [(B, (3, 8))], None),
    "prelu": ("PRELU", [IMAGE, floats(1, 1, 4)], [IMAGE], None),
    "relu 0 to 1": ("RELU_0_TO_1", [ROWS], [ROWS], None),
    "shape": ("SHAPE", [ROWS], [(INT, (2,))], ("ShapeOptions", {"outType": 2})),
    "rank": ("RANK", [ROWS], [(INT, ())], None),
    "range": ("RANGE", [number(0), number(7), number(2)], [(INT, (4,))], None),
    "scattered": ("SCATTER_ND", [np.array([[1], [3]], INT), (F, (2, 5)), ints(4, 5)], [(F, (4, 5))], None),
    "scattered bools": ("SCATTER_ND", [(INT, (2, 1)), (B, (2, 5)), ints(4, 5)], [(B, (4, 5))], None),
    "reversed": ("REVERSE_SEQUENCE", [ROWS, ints(5, 0, 3)], [ROWS],
                 ("ReverseSequenceOptions", {"seqDim": 1, "batchDim": 0})),
    "segments": ("SEGMENT_SUM", [ROWS, ints(0, 0, 1)], [(F, (2, 5))], None),
    **{f"unsorted {name}": (f"UNSORTED_SEGMENT_{name}", [ROWS, ints(1, 0, 1), number(2)], [(F, (2, 5))], None)
       for name in ("SUM", "MAX", "MIN", "PROD")},
    "int abs": ("ABS", [(INT, (3,))], [(INT, (3,))], None),
    "int sign": ("SIGN", [(INT, (3,))], [(INT, (3,))], None),
    "int pow": ("POW", [(INT, (3,)), number(3)], [(INT, (3,))], None),
    "remainder": ("FLOOR_MOD", [(INT, (3,)), ints(3, -2, 5)], [(INT, (3,))], None),
    "int64 sum": ("SUM", [(I64, (3, 5)), ints(1)], [(I64, (3,))], ("ReducerOptions", {"keepDims": False})),
    "six dimensions": ("SUB", [(F, (2, 1, 3, 1, 2, 1)), (F, (1, 2, 3, 3, 1, 2))], [(F, (2, 2, 3, 3, 2, 2))],
                       ("SubOptions", {})),
    "added": ("ADD_N", [ROWS, ROWS, ROWS], [ROWS], None),
    "angles": ("ATAN2", [ROWS, ROWS], [ROWS], None),
    "bits": ("BITWISE_XOR", [(INT, (3, 1)), (INT, (5,))], [(INT, (3, 5))], None),
    "shifted": ("RIGHT_SHIFT", [(INT, (3, 1)), (INT, (5,))], [(INT, (3, 5))], None),
    "read as ints": ("BITCAST", [ROWS], [(INT, (3, 5))], None),
    "shapes": ("BROADCAST_ARGS", [ints(3, 1), ints(5)], [(INT, (2,))], None),
    "buckets": ("BUCKETIZE", [ROWS], [(INT, (3, 5))], ("BucketizeOptions", {"boundaries": [0.0, 0.5]})),
    "diagonals": ("MATRIX_DIAG", [ROWS], [(F, (3, 5, 5))], None),
    "other diagonals": ("MATRIX_SET_DIAG", [(F, (3, 5, 4)), (F, (3, 4))], [(F, (3, 5, 4))], None),
    "boxes": ("NON_MAX_SUPPRESSION_V4", [(F, (6, 4)), (F, (6,)), number(3), number(0.5, F), number(0, F)],
              [(INT, (3,)), (INT, ())], None),
    "scored boxes": ("NON_MAX_SUPPRESSION_V5",
                     [(F, (6, 4)), (F, (6,)), number(3), number(0.5, F), number(0, F), number(0, F)],
                     [(INT, (3,)), (F, (3,)), (INT, ())], None),
    "fourier": ("RFFT2D", [(F, (3, 1, 7)), ints(1, 8)], [("complex64", (3, 1, 5))], None),
    "real": ("REAL", [("complex64", (3,))], [(F, (3,))], None),
    "imaginary": ("IMAG", [("complex64", (3,))], [(F, (3,))], None),
    "absolute": ("COMPLEX_ABS", [("complex64", (3,))], [(F, (3,))], None),
    "cast pixels": ("CAST", [("uint8", (1, 4, 4, 3))], [(F, (1, 4, 4, 3))], None),
    "int64 one-hot": ("ONE_HOT", [(I64, (3,)), number(4), number(1, F), number(0, F)], [(F, (3, 4))],
                      ("OneHotOptions", {"axis": -1})),
    "gathered bools": ("GATHER_ND", [(B, (3, 5)), np.array([[0], [2]], INT)], [(B, (2, 5))], None),
    "an int64 shape": ("BROADCAST_TO", [(F, (1, 5)), np.array([3, 5])], [(F, (3, 5))], None),
    "eight dimensions": ("TRANSPOSE", [(F, (1, 2, 1, 2, 1, 2, 1, 2)), ints(7, 6, 5, 4, 3, 2, 1, 0)],
                         [(F, (2, 1, 2, 1, 2, 1, 2, 1))], None),
}  # fmt: skip
"""name -> operator, inputs, outputs, options and scales, as ``operator_file`` takes them."""


def _put(case, part, place, value):
    """Return a case with one input, output or scale replaced, or with other options."""
    name, inputs, outputs, options, scales = (*case, None)[:5]
    inputs, outputs = list(inputs), list(outputs)
    match part:
        case "input":
            inputs[place] = value
        case "output":
            outputs[place] = value
        case "scales":
            scales = {place: value}
        case _:
            options = (options[0], {**options[1], part: value})
    return name, inputs, outputs, options, scales


WRONG = [
    ("conv", "output", 0, (F, (1, 4, 4, 5)), "its outputs are"),
    ("conv", "input", 1, floats(5, 3, 3, 3), "do not fit"),
    ("conv", "input", 1, floats(5, 3, 3, 0), "are empty"),
    ("conv", "input", 1, floats(5, 7, 3, 4), "larger than its input"),
    ("conv", "input", 2, floats(4), "its bias does not fit"),
    ("conv", "strideW", 0, 0, "its stride is 0"),
    ("conv", "strideH", 0, -1, "its stride is -1"),
    ("conv", "dilationHFactor", 0, 0, "its dilation is 0"),
    ("conv", "padding", 0, 2, "its padding is 2"),
    ("conv", "fusedActivationFunction", 0, 5, "its activation is not known"),
    ("conv", "input", 2, None, "it lacks an input"),
    ("conv in groups", "input", 1, floats(5, 3, 3, 2), "do not fit"),
    ("conv int8", "scales", 1, (4, 3), "lack a scale for each row"),
    ("conv int8", "scales", 0, (1, 0), "lack a scale for each row"),
    ("depthwise", "depthMultiplier", 0, 1, "do not fit"),
    ("depthwise int8", "scales", 1, (3, 1), "lack a scale for each row"),
    ("transposed", "input", 0, ints(1, 13, 14, 5), "it makes"),
    ("transposed", "input", 0, ints(2, 11, 14, 5), "it makes"),
    ("transposed", "input", 0, (INT, (4,)), "is not constant"),
    ("transposed", "input", 1, floats(5, 3, 3, 5), "do not fit"),
    ("conv 3d", "input", 1, floats(2, 3, 3, 3, 4), "do not fit"),
    ("transposed 3d", "input", 0, ints(1, 5, 6, 7, 3), "it makes"),
    ("average", "filterWidth", 0, 0, "its window is 0"),
    ("average", "output", 0, (F, (1, 3, 5, 4)), "its outputs are"),
    ("largest", "strideH", 0, 0, "its stride is 0"),
    ("local response", "radius", 0, -3, "its radius is -3"),
    ("bilinear", "input", 1, ints(0, 9), "it makes 0 x 9"),
    ("bilinear", "alignCorners", 0, True, "placed in two ways"),
    ("space to depth", "blockSize", 0, 0, "blocks of 0"),
    ("depth to space", "blockSize", 0, 3, "blocks of 3"),
    ("space to batch", "input", 1, ints(0, 2), "blocks of"),
    ("space to batch", "input", 2, np.array([[0, 0], [0, -1]], INT), "pads or crops"),
    ("batch to space", "input", 2, np.array([[6, 0], [0, 1]], INT), "it crops"),
    ("mirrored", "input", 1, np.array([[0, 0], [5, 0]], INT), "it pads by"),
    ("prelu", "input", 1, floats(2, 1, 1, 1), "its slopes are"),
    ("scattered", "input", 1, (F, (2, 4)), "it writes"),
    ("scattered", "input", 0, np.zeros((2, 3), INT), "it makes"),
    ("reversed", "input", 1, ints(5, 0, 6), "it reverses"),
    ("reversed", "input", 1, (INT, (3,)), "is not constant"),
    ("reversed", "batchDim", 0, 2, "axis 2 is not one of 2"),
    ("segments", "input", 1, ints(0, 2, 3), "its segments are"),
    ("unsorted SUM", "input", 1, ints(1, 0), "its segments are"),
    ("unsorted SUM", "input", 2, number(0), "it makes 0 segments"),
    ("remainder", "input", 1, (INT, (3,)), "its divisor is not a constant"),
    ("remainder", "input", 1, ints(1, -1, 2), "or is 0 or -1"),
    ("angles", "input", 1, (F, (1, 5)), "its inputs differ"),
    ("read as ints", "output", 0, ("int16", (3, 5)), "it reads"),
    ("diagonals", "output", 0, (F, (3, 5)), "its outputs are"),
    ("other diagonals", "input", 1, (F, (3, 5)), "its diagonals are"),
    ("boxes", "input", 1, (F, (5,)), "its boxes lack scores"),
    ("fourier", "input", 1, ints(1, 6), "not powers of two"),
    ("fourier", "input", 1, ints(8, 1), "or too short"),
    ("fourier", "output", 0, ("complex64", (3, 1, 8)), "its outputs are"),
    ("int64 one-hot", "axis", 0, 2, "axis 2 is not one of 2"),
    ("eight dimensions", "input", 1, ints(7, 6, 5, 4, 3, 2, 1, 8), "is not an order"),
    ("cast pixels", "output", 0, ("complex64", (1, 4, 4, 3)), "it does not cast"),
]
"""Case, part, place and value of what is changed, and the message."""


def file_of(name):
    """Return the bytes of a case's file."""
    return operator_file(*CASES[name])


def wrong_file(name, part, place, value):
    """Return the bytes of a case's file with one thing changed."""
    return operator_file(*_put(CASES[name], part, place, value))
