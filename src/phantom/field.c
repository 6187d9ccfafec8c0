/* Plane waves and signed distances. The sine of a turn is a polynomial, so that the compiler
 * turns the loop over waves into vector instructions: 24 waves with gradient take about 60 ns. */
#include "phantom/field.h"

field field_draw(random_stream *r, int waves, double shortest_mm, double longest_mm)
{
    field f = {.waves = waves, .amplitude = sqrtf(2.0f / (float)waves)};
    for (int i = 0; i < waves; i++) {
        const double wavelength = random_uniform(r, shortest_mm, longest_mm);
        double direction[3], norm = 0;
        for (int k = 0; k < 3; k++) {
            direction[k] = random_normal(r);
            norm += direction[k] * direction[k];
        }
        norm = norm > 1e-12 ? sqrt(norm) : 1;
        for (int k = 0; k < 3; k++)
            f.frequency[k][i] = (float)(direction[k] / norm / wavelength);
        f.phase[i] = (float)random_uniform(r, 0, 1);
    }
    return f;
}

/* Cosine and sine of 2 pi turns; |turns| < 2^21. Taylor series of sin and cos of pi t over
 * |t| <= 1/2, error below 1e-5; the doubled angle by cos 2a = 1 - 2 sin^2 a, sin 2a = 2 sin cos. */
static inline float cosine_of_turns(float turns, float *sine)
{
    const float whole = (turns + 12582912.0f) - 12582912.0f; /* 1.5 * 2^23: rounds to nearest */
    const float t = turns - whole, tt = t * t;
    const float s =
        t * (3.14159265f +
             tt * (-5.16771278f + tt * (2.55016404f + tt * (-0.59926453f + tt * 0.08214589f))));
    const float c =
        1 + tt * (-4.93480220f + tt * (4.05871213f + tt * (-1.33526277f + tt * 0.23533063f)));
    *sine = 2 * s * c;
    return 1 - 2 * s * s;
}

/* Four sums side by side: the compiler may not reorder one sum, but may keep four in a register. */
enum { LANES = 4 };

static inline float add_lanes(const float sums[LANES])
{
    return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

float field_at(const field *f, const float p[3])
{
    float sums[LANES] = {0};
    for (int i = 0; i < f->waves; i += LANES)
        for (int k = 0; k < LANES; k++) {
            float sine;
            sums[k] +=
                cosine_of_turns(f->frequency[0][i + k] * p[0] + f->frequency[1][i + k] * p[1] +
                                    f->frequency[2][i + k] * p[2] + f->phase[i + k],
                                &sine);
        }
    return add_lanes(sums) * f->amplitude;
}

float field_gradient(const field *f, const float p[3], float gradient[3])
{
    float sums[LANES] = {0}, slopes[3][LANES] = {{0}};
    for (int i = 0; i < f->waves; i += LANES)
        for (int k = 0; k < LANES; k++) {
            float sine;
            sums[k] +=
                cosine_of_turns(f->frequency[0][i + k] * p[0] + f->frequency[1][i + k] * p[1] +
                                    f->frequency[2][i + k] * p[2] + f->phase[i + k],
                                &sine);
            for (int d = 0; d < 3; d++)
                slopes[d][k] += sine * f->frequency[d][i + k];
        }
    for (int d = 0; d < 3; d++)
        gradient[d] = -6.2831853f * f->amplitude * add_lanes(slopes[d]);
    return add_lanes(sums) * f->amplitude;
}

float ellipsoid_depth(const float p[3], const float centre[3], const float radii[3])
{
    float k0 = 0, k1 = 0;
    for (int i = 0; i < 3; i++) {
        const float q = (p[i] - centre[i]) / radii[i];
        k0 += q * q;
        k1 += q * q / (radii[i] * radii[i]);
    }
    if (k0 < 1e-6f)
        return fminf(radii[0], fminf(radii[1], radii[2]));
    k0 = sqrtf(k0);
    return k0 * (1 - k0) / sqrtf(k1);
}

float cone_depth(const float p[3], const float a[3], float r0, const float b[3], float r1)
{
    float along = 0, length = 0, distance = 0;
    for (int i = 0; i < 3; i++) {
        along += (p[i] - a[i]) * (b[i] - a[i]);
        length += (b[i] - a[i]) * (b[i] - a[i]);
    }
    const float t = clamped(along / length, 0, 1);
    for (int i = 0; i < 3; i++) {
        const float d = p[i] - a[i] - t * (b[i] - a[i]);
        distance += d * d;
    }
    return r0 + t * (r1 - r0) - sqrtf(distance);
}

float smooth_minimum(float a, float b, float k)
{
    const float h = fmaxf(k - fabsf(a - b), 0) / k;
    return fminf(a, b) - h * h * k * 0.25f;
}

float smooth_maximum(float a, float b, float k)
{
    return -smooth_minimum(-a, -b, k);
}
