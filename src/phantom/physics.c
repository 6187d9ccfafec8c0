/* Signal equations and the table of tissues. Equations: Bernstein, King, Zhou, "Handbook of MRI
 * Pulse Sequences" (2004), sections 14.2 and 14.3; sources of the figures in docs/phantom.md. */
#include "phantom/physics.h"

#include <math.h>

const tissue tissues[TISSUES] = {
    [TISSUE_WHITE] = {"white matter", 870, 74, 0.70, 0.015},
    [TISSUE_GREY] = {"grey matter", 1380, 100, 0.81, 0.03},
    [TISSUE_DEEP_GREY] = {"deep grey", 1180, 78, 0.79, 0.03},
    [TISSUE_CSF] = {"CSF", 4300, 1800, 1.00, 0},
    [TISSUE_BLOOD] = {"blood", 1660, 60, 0.75, 0.45},
    [TISSUE_GLIOSIS] = {"gliosis", 1150, 115, 0.78, 0.015},
    [TISSUE_EDEMA] = {"edema", 1450, 170, 0.83, 0.02},
    [TISSUE_NECROSIS] = {"necrosis", 2300, 320, 0.92, 0.02},
    [TISSUE_SOLID] = {"solid tumour", 1600, 155, 0.85, 0.03},
    [TISSUE_ENHANCING] = {"enhancing tumour", 1600, 155, 0.85, 0.13},
};

/* Relaxivities of gadopentetate in plasma at 3 T and 37 C, per s and mmol/l (Rohrer 2005). */
static const double relaxivity_r1 = 3.7, relaxivity_r2 = 5.2;

double signal_spin_echo(double t1_ms, double t2_ms, double density, double tr_ms, double te_ms)
{
    return density * (1 - 2 * exp(-(tr_ms - te_ms / 2) / t1_ms) + exp(-tr_ms / t1_ms)) *
           exp(-te_ms / t2_ms);
}

double signal_inversion_recovery(double t1_ms, double t2_ms, double density, double tr_ms,
                                 double te_ms, double ti_ms)
{
    return density *
           (1 - 2 * exp(-ti_ms / t1_ms) + 2 * exp(-(tr_ms - te_ms / 2) / t1_ms) -
            exp(-tr_ms / t1_ms)) *
           exp(-te_ms / t2_ms);
}

double inversion_time_of_null(double t1_ms, double tr_ms, double te_ms)
{
    return t1_ms * log(2 / (1 + 2 * exp(-(tr_ms - te_ms / 2) / t1_ms) - exp(-tr_ms / t1_ms)));
}

void relaxation_with_gadolinium(double concentration_mm, double *t1_ms, double *t2_ms)
{
    *t1_ms = 1 / (1 / *t1_ms + relaxivity_r1 * concentration_mm / 1000);
    *t2_ms = 1 / (1 / *t2_ms + relaxivity_r2 * concentration_mm / 1000);
}

double tissue_signal(const tissue *t, const sequence *s)
{
    double t1_ms = t->t1_ms, t2_ms = t->t2_ms;
    if (s->contrast_agent)
        relaxation_with_gadolinium(t->gadolinium_mm, &t1_ms, &t2_ms);
    if (s->ti_ms > 0)
        return signal_inversion_recovery(t1_ms, t2_ms, t->density, s->tr_ms, s->te_ms, s->ti_ms);
    return signal_spin_echo(t1_ms, t2_ms, t->density, s->tr_ms, s->te_ms);
}
