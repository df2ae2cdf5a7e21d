/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The types of the daemon, so that headers need not include each other. */

typedef struct Converge Converge;
typedef struct Debounce Debounce;
typedef struct Definition Definition;
typedef struct Definitions Definitions;
typedef struct Finished Finished;
typedef struct Gpu Gpu;
typedef struct GpuSettings GpuSettings;
typedef struct Instance Instance;
typedef struct Inventory Inventory;
typedef struct Job Job;
typedef struct JobKindInfo JobKindInfo;
typedef struct Keep Keep;
typedef struct KnownTypes KnownTypes;
typedef struct Lane Lane;
typedef struct Lanes Lanes;
typedef struct LatestFacts LatestFacts;
typedef struct Manager Manager;
typedef struct Model Model;
typedef struct Records Records;
typedef struct Scan Scan;
typedef struct Settings Settings;
typedef struct Want Want;
