/* What a scanner makes of a tissue: relaxation times, spin echo, inversion recovery, gadolinium.
 * Times in ms, concentrations in mmol/l. docs/phantom.md gives the source of each figure. */
#ifndef TWINSEG_PHANTOM_PHYSICS_H
#define TWINSEG_PHANTOM_PHYSICS_H

#include "plan/plan.h"

typedef enum {
    TISSUE_WHITE,
    TISSUE_GREY,
    TISSUE_DEEP_GREY, /* thalamus, caudate, putamen, pallidum: iron shortens T2 */
    TISSUE_CSF,
    TISSUE_BLOOD,   /* veins in sulci, choroid plexus: they enhance and are not tumour */
    TISSUE_GLIOSIS, /* white matter hyperintensities of age: bright in FLAIR, not tumour */
    TISSUE_EDEMA,
    TISSUE_NECROSIS,
    TISSUE_SOLID,     /* tumour behind an intact blood-brain barrier */
    TISSUE_ENHANCING, /* the same tumour where the barrier leaks */
    TISSUES
} tissue_kind;

typedef struct {
    const char *name;
    double t1_ms, t2_ms;
    double density;       /* of protons, that of water being 1 */
    double gadolinium_mm; /* mmol per litre of tissue some minutes after a standard dose */
} tissue;

extern const tissue tissues[TISSUES]; /* at 3 T */

typedef struct {
    double tr_ms, te_ms;
    double ti_ms;        /* of the inversion pulse; 0: plain spin echo */
    bool contrast_agent; /* acquired after gadolinium */
} sequence;

/* Spin echo: PD (1 - 2 exp(-(TR - TE/2)/T1) + exp(-TR/T1)) exp(-TE/T2). */
double signal_spin_echo(double t1_ms, double t2_ms, double density, double tr_ms, double te_ms);

/* Inversion recovery with a spin echo readout, signed:
 * PD (1 - 2 exp(-TI/T1) + 2 exp(-(TR - TE/2)/T1) - exp(-TR/T1)) exp(-TE/T2). */
double signal_inversion_recovery(double t1_ms, double t2_ms, double density, double tr_ms,
                                 double te_ms, double ti_ms);

/* The TI at which a tissue of this T1 gives no signal in that sequence. */
double inversion_time_of_null(double t1_ms, double tr_ms, double te_ms);

/* 1/T1 and 1/T2 grow by r1 C and r2 C. */
void relaxation_with_gadolinium(double concentration_mm, double *t1_ms, double *t2_ms);

/* Signal of a tissue in a sequence: the equations above put together. Signed. */
double tissue_signal(const tissue *t, const sequence *s);

#endif
