/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Operations on NVIDIA's cards from outside sysfs; see nvidia.h. Users of the command "nvidia" of the control
 * socket are sriov-manage, fake-nvml.c, and the tests, which play a service that keeps a GPU busy, or an
 * administrator with nvidia-smi:
 *
 *     list                          the reply is the address of each card
 *     query GPU                     NVML's data, KEY=VALUE per line
 *     sriov GPU enable|disable      as sriov-manage; the reply is the script's output
 *     heterogeneous GPU 0|1         the reply is an NVML code
 *     mig GPU 0|1                   the reply is the NVML code of a refusal, or "0 CODE": CODE 0 means that the
 *                                   new mode is active, another CODE says why it needs a reset
 *     reset GPU                     as nvidia-smi --gpu-reset
 *     create-instance GPU PROFILE   the reply is "0 ID" on success
 *     delete-instance GPU ID
 *     nvml PID                      process PID has initialized NVML and keeps all GPUs open while alive
 *     nvml-end PID
 *     hold GPU, drop GPU            another program opens or closes the GPU
 *     no-reset GPU 0|1              1: the library cannot reset the GPU, as in a virtual machine
 *     manager GPU 0|1               0: the driver is not the vGPU host driver, and refuses virtual functions
 *     drm 0|1                       1: load the module nvidia_drm, so that MIG mode needs a reset; 0: unload it
 *     linger VF N                   the next N attempts to clear the type fail, as if the plugin still ran
 */

#include "simhost/nvidia.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "simhost/driver.h"
#include "simhost/sriov.h"

#define DRIVER "nvidia"
#define STUB   "pci-pf-stub"

typedef struct Verb {
        const char *name;
        unsigned arguments;
        bool on_card; /* the first argument is a GPU */
        int (*run)(NvidiaCard *card, char **arguments, GString *text);
} Verb;

static int control_parse_number(const char *text, guint64 most, unsigned *ret)
{
        guint64 value;

        if (!g_ascii_string_to_unsigned(text, 10, 0, most, &value, NULL))
                return -EINVAL;

        *ret = (unsigned)value;

        return 0;
}

static int control_nvml_answer(GString *text, int code)
{
        g_string_append_printf(text, "%d", code);
        return 0;
}

/* True if the kernel module lets sriov-manage take the "unbindLock": no program, no client of NVML and no guest
 * uses the GPU. */
static bool lock_is_free(NvidiaCard *card)
{
        for (guint i = card->nvml_clients->len; i > 0; i--)
                if (kill(g_array_index(card->nvml_clients, pid_t, i - 1), 0) < 0 && errno == ESRCH)
                        g_array_remove_index_fast(card->nvml_clients, i - 1);

        return card->holds == 0 && card->nvml_clients->len == 0 && !nvidia_card_is_used(card);
}

/* Like sriov-manage, binds the GPU to another driver for the change, because "nvidia" cannot change the number
 * of VFs. So every program sees the GPU leave its driver and come back. */
static int change_vfs(NvidiaCard *card, unsigned count)
{
        GpuFunction *physical = &card->gpu->functions[0];
        int r = 0;

        function_lock(physical);

        if (!physical->device) {
                function_unlock(physical);
                return -ENODEV;
        }

        driver_release(physical);
        device_set_driver(physical->device, STUB);
        device_event(physical->device, "bind", NULL);
        sriov_disable(card->gpu);
        nvidia_forget(card);

        if (count > 0)
                r = sriov_enable(card->gpu, count);
        device_set_driver(physical->device, NULL);
        device_event(physical->device, "unbind", NULL);
        driver_attach(physical);
        function_unlock(physical);

        return r;
}

/* Like sriov-manage, succeeds without a change if the card is unplugged or has no VFs. */
static int run_sriov(NvidiaCard *card, char **arguments, GString *text)
{
        bool enable = g_str_equal(arguments[1], "enable");

        if (!enable && !g_str_equal(arguments[1], "disable"))
                return -EINVAL;

        if (card->has_no_vfs || !card->gpu->functions[0].device)
                return 0;

        if (enable == (card->gpu->n_vfs > 0)) {
                g_string_append_printf(text, "GPU at %s already has VFs %sd.", arguments[0], arguments[1]);
                return 0;
        }

        if (!lock_is_free(card)) {
                g_string_append_printf(text, "Cannot obtain unbindLock for %s", arguments[0]);
                return -EBUSY;
        }

        g_string_append_printf(text, "%sing VFs on %s", enable ? "Enabl" : "Disabl", arguments[0]);

        return change_vfs(card, enable ? card->gpu->total_vfs : 0);
}

static int run_heterogeneous(NvidiaCard *card, char **arguments, GString *text)
{
        unsigned value;

        if (control_parse_number(arguments[1], 1, &value) < 0)
                return -EINVAL;

        if (!card->can_mix || card->mig)
                return control_nvml_answer(text, NVML_NOT_SUPPORTED);
        if (card->gpu->n_vfs == 0)
                return control_nvml_answer(text, NVML_INVALID_STATE);

        if (nvidia_count_vgpus(card) > 0)
                return control_nvml_answer(text, NVML_IN_USE);

        nvidia_set_heterogeneous(card, value == 1);

        return control_nvml_answer(text, NVML_SUCCESS);
}

static void activate_mig(NvidiaCard *card)
{
        card->mig = card->mig_pending;
        nvidia_forget(card);
}

/* The driver refuses a new MIG mode while virtual functions are enabled. If the GPU is open, if nvidia_drm is
 * loaded or if the library cannot reset the GPU, the driver accepts the mode, which takes effect with the next
 * reset. */
static int run_mig(NvidiaCard *card, char **arguments, GString *text)
{
        int activation = NVML_SUCCESS;
        unsigned value;

        if (control_parse_number(arguments[1], 1, &value) < 0)
                return -EINVAL;

        if (!card->can_mig)
                return control_nvml_answer(text, NVML_NOT_SUPPORTED);
        if (card->gpu->n_vfs > 0)
                return control_nvml_answer(text, NVML_IN_USE);

        card->mig_pending = value == 1;
        if (card->mig_pending != card->mig) {
                activation = card->holds > 0 || node_find(device_sys(), "module/" NVIDIA_DRM) ? NVML_IN_USE
                             : card->cannot_reset ? NVML_RESET_REQUIRED
                                                  : NVML_SUCCESS;
                if (activation == NVML_SUCCESS)
                        activate_mig(card);
        }

        g_string_append_printf(text, "%d %d", NVML_SUCCESS, activation);

        return 0;
}

static int run_reset(NvidiaCard *card, char **arguments, GString *text)
{
        if (card->holds > 0 || nvidia_card_is_used(card))
                return control_nvml_answer(text, NVML_IN_USE);

        activate_mig(card);

        return control_nvml_answer(text, NVML_SUCCESS);
}

/* The slices that a profile takes. A GPU has 7 slices of computing power and 8 of memory. */
typedef struct Profile {
        unsigned profile, slices, memory;
} Profile;

static const Profile profiles[] = {
        { 0, 7, 8 }, { 5, 4, 4 }, { 9, 3, 4 }, { 14, 2, 2 }, { 15, 1, 2 }, { 19, 1, 1 }, { 20, 1, 1 },
};

static const Profile *find_profile(unsigned profile)
{
        for (size_t i = 0; i < G_N_ELEMENTS(profiles); i++)
                if (profiles[i].profile == profile)
                        return &profiles[i];

        return NULL;
}

static int run_create_instance(NvidiaCard *card, char **arguments, GString *text)
{
        unsigned slices = 7, memory = 8, profile;
        NvidiaInstance *free_one = NULL;
        const Profile *wanted;

        if (control_parse_number(arguments[1], G_MAXUINT, &profile) < 0)
                return -EINVAL;

        wanted = find_profile(profile);
        if (!card->mig)
                return control_nvml_answer(text, NVML_NOT_SUPPORTED);

        if (!wanted)
                return control_nvml_answer(text, NVML_NOT_FOUND);

        for (unsigned i = 0; i < NVIDIA_INSTANCES_MAX; i++) {
                NvidiaInstance *instance = &card->instances[i];
                const Profile *taken;

                if (instance->id == 0) {
                        free_one = free_one ? free_one : instance;
                        continue;
                }

                taken = find_profile(instance->profile);
                g_assert(taken);
                slices -= taken->slices;
                memory -= taken->memory;
        }

        if (!free_one || slices < wanted->slices || memory < wanted->memory)
                return control_nvml_answer(text, NVML_INSUFFICIENT_RESOURCES);

        *free_one = (NvidiaInstance){ .id = (unsigned)(free_one - card->instances) + 1, .profile = profile };
        g_string_append_printf(text, "%d %u", NVML_SUCCESS, free_one->id);

        return 0;
}

static int run_delete_instance(NvidiaCard *card, char **arguments, GString *text)
{
        unsigned id;

        if (control_parse_number(arguments[1], NVIDIA_INSTANCES_MAX, &id) < 0 || id == 0)
                return -EINVAL;

        if (card->instances[id - 1].id == 0)
                return control_nvml_answer(text, NVML_NOT_FOUND);
        if (card->instances[id - 1].used)
                return control_nvml_answer(text, NVML_IN_USE);

        card->instances[id - 1] = (NvidiaInstance){ 0 };

        return control_nvml_answer(text, NVML_SUCCESS);
}

static int run_hold(NvidiaCard *card, char **arguments, GString *text)
{
        card->holds++;
        return 0;
}

static int run_drop(NvidiaCard *card, char **arguments, GString *text)
{
        if (card->holds == 0)
                return -EINVAL;

        card->holds--;

        return 0;
}

static int run_no_reset(NvidiaCard *card, char **arguments, GString *text)
{
        unsigned value;

        if (control_parse_number(arguments[1], 1, &value) < 0)
                return -EINVAL;

        card->cannot_reset = value == 1;

        return 0;
}

static void load_module(const char *module, bool load)
{
        Node *modules = node_find(device_sys(), "module");

        if (load)
                device_module(module);
        else if (modules && node_find(modules, module))
                node_remove_child(modules, module);
}

static int run_manager(NvidiaCard *card, char **arguments, GString *text)
{
        unsigned value;

        if (control_parse_number(arguments[1], 1, &value) < 0)
                return -EINVAL;

        card->has_no_manager = value == 0;
        load_module(NVIDIA_MANAGER, value == 1);

        return 0;
}

static int run_drm(NvidiaCard *card, char **arguments, GString *text)
{
        unsigned value;

        if (control_parse_number(arguments[0], 1, &value) < 0)
                return -EINVAL;

        load_module(NVIDIA_DRM, value == 1);

        return 0;
}

static int run_nvml(NvidiaCard *card, char **arguments, GString *text)
{
        unsigned number;
        pid_t pid;

        if (control_parse_number(arguments[0], G_MAXINT, &number) < 0)
                return -EINVAL;

        pid = (pid_t)number;
        for (guint i = 0; i < nvidia_cards()->len; i++)
                g_array_append_val(((NvidiaCard *)nvidia_cards()->pdata[i])->nvml_clients, pid);

        return 0;
}

static int run_nvml_end(NvidiaCard *card, char **arguments, GString *text)
{
        unsigned number;

        if (control_parse_number(arguments[0], G_MAXINT, &number) < 0)
                return -EINVAL;

        for (guint i = 0; i < nvidia_cards()->len; i++) {
                GArray *clients = ((NvidiaCard *)nvidia_cards()->pdata[i])->nvml_clients;

                for (guint j = clients->len; j > 0; j--)
                        if (g_array_index(clients, pid_t, j - 1) == (pid_t)number)
                                g_array_remove_index_fast(clients, j - 1);
        }

        return 0;
}

static int run_linger(NvidiaCard *card, char **arguments, GString *text)
{
        const GpuFunction *function = gpu_find_function(arguments[0]);
        unsigned count;

        if (control_parse_number(arguments[1], G_MAXUINT, &count) < 0)
                return -EINVAL;

        if (!function || function->index == 0 || !nvidia_find_card(gpu_alias(arguments[0])))
                return -ENODEV;

        ((NvidiaVf *)function->state)->lingering = count;

        return 0;
}

static int run_list(NvidiaCard *card, char **arguments, GString *text)
{
        for (guint i = 0; i < nvidia_cards()->len; i++)
                g_string_append_printf(
                                text, "%s\n",
                                ((const NvidiaCard *)nvidia_cards()->pdata[i])->gpu->functions[0].spec.address);

        return 0;
}

/* NVML's class of a type. The letter after the digits of the name, such as Q in "A2-4Q", shows the class. */
static const char *class_of(const NvidiaType *type)
{
        const char *figures = strrchr(type->name, '-') + 1;

        switch (figures[strspn(figures, "0123456789")]) {
        case 'Q':
                return "Quadro";
        case 'B':
                return "NVS";
        case 'A':
                return "vApps";
        default:
                return "Compute";
        }
}

/* Appends the number of GPU instances of each profile, in MIG mode. */
static void append_instances(const NvidiaCard *card, GString *text)
{
        for (size_t i = 0; card->mig && i < G_N_ELEMENTS(profiles); i++) {
                unsigned count = 0;

                for (unsigned k = 0; k < NVIDIA_INSTANCES_MAX; k++)
                        count += card->instances[k].id != 0 &&
                                 card->instances[k].profile == profiles[i].profile;

                g_string_append_printf(text, "instances=%u|%u\n", profiles[i].profile, count);
        }
}

static int run_query(NvidiaCard *card, char **arguments, GString *text)
{
        /* Without the vGPU manager the library knows neither modes of vGPUs nor types. */
        if (card->has_no_manager) {
                g_string_append_printf(
                                text,
                                "host-vgpu-mode=-1\nheterogeneous=-1\nmig=%d\nmig-pending=%d\nmemory-mib=%u\n",
                                card->can_mig ? card->mig : -1, card->mig_pending, card->usable_mib);
                return 0;
        }

        g_string_append_printf(text,
                               "host-vgpu-mode=%d\nheterogeneous=%d\nmig=%d\nmig-pending=%d\nmemory-mib=%u\n",
                               !card->has_no_vfs, card->can_mix && !card->mig ? card->heterogeneous : -1,
                               card->can_mig ? card->mig : -1, card->mig_pending, card->usable_mib);
        append_instances(card, text);

        for (unsigned i = 0; i < card->types->count; i++) {
                const NvidiaType *type = &card->types->types[i];

                g_string_append_printf(text, "type=%u|%s|%s|%u|%u|%u|%u|%u|%u|%u|%d\n", type->id, type->name,
                                       class_of(type), type->size_mib, type->heads, type->max_x, type->max_y,
                                       type->frame_rate_limit, type->most, type->profile,
                                       nvidia_is_creatable(card, type));
        }

        return 0;
}

static const Verb verbs[] = {
        { "list", 0, false, run_list },
        { "query", 1, true, run_query },
        { "sriov", 2, true, run_sriov },
        { "heterogeneous", 2, true, run_heterogeneous },
        { "mig", 2, true, run_mig },
        { "reset", 1, true, run_reset },
        { "create-instance", 2, true, run_create_instance },
        { "delete-instance", 2, true, run_delete_instance },
        { "nvml", 1, false, run_nvml },
        { "nvml-end", 1, false, run_nvml_end },
        { "hold", 1, true, run_hold },
        { "drop", 1, true, run_drop },
        { "no-reset", 2, true, run_no_reset },
        { "drm", 1, false, run_drm },
        { "manager", 2, true, run_manager },
        { "linger", 2, false, run_linger },
};

int nvidia_control(const char *line, GString *text)
{
        g_auto(GStrv) words = g_strsplit(line, " ", -1);
        guint count = g_strv_length(words);

        for (size_t i = 0; count > 0 && i < G_N_ELEMENTS(verbs); i++) {
                const Verb *verb = &verbs[i];
                NvidiaCard *card = NULL;
                int r = -ENODEV;

                if (!g_str_equal(verb->name, words[0]))
                        continue;

                if (count != 1 + verb->arguments)
                        break;

                tree_lock();
                if (verb->on_card)
                        card = nvidia_find_card(words[1]);
                if (!verb->on_card || card)
                        r = verb->run(card, words + 1, text);
                tree_unlock();
                return r;
        }

        g_string_append(text, "usage: see nvidia-control.c");

        return -EINVAL;
}
