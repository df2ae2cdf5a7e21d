/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fake-sriov.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/parse-util.h"
#include "drivers-glue/vf/bind.h"

#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)
/* The memory of all VFs of an xe, and the step of its allocation. */
#define XE_VRAM       (12 * GIB)
#define XE_VRAM_STEP  (2 * MIB)
#define I915_GGTT     (4 * GIB)
#define I915_CONTEXTS 64512

typedef struct Driver {
        FakePci *pci;
        char *name; /* owned */
        int probe_errno;
} Driver;

typedef struct Vf {
        FakePf *pf;
        unsigned index;
        char *name, *path; /* owned */
        char *override;    /* owned */
        Driver *driver;    /* NULL: none */
        int group;         /* -1: none */
        bool noiommu;      /* VFIO made the group */
        int probe_errno;
        char *node, *cdev; /* owned; set while bound to a driver of VFIO */
} Vf;

/* A quota of a VF in one part of the GPU. */
typedef struct Quota {
        FakePf *pf;
        unsigned vf, part;
        const char *name;
        uint64_t value, max, step;
} Quota;

struct FakePf {
        FakePci *pci;
        FakePfModel model;
        char *name, *path; /* owned */
        PciAddr address;
        unsigned total, limit, offset;
        bool autoprobe;
        bool by_hand;      /* i915: auto_provisioning is off */
        bool shared_out;   /* i915: the VFs have automatic resources */
        Driver *driver;    /* NULL: none */
        GPtrArray *vfs;    /* owned: Vf, enabled */
        GPtrArray *quotas; /* owned: Quota */
        bool no_iommu, noiommu, shared_group, no_group_nodes, cdevs;
        int group; /* shared by the VFs; -1: none yet */
};

struct FakePci {
        FakeKernel *k;
        pthread_mutex_t lock;
        GPtrArray *drivers, *pfs; /* owned */
        int next_group, next_cdev;
};

static const struct {
        const char *driver, *vf_driver, *class, *vendor, *device;
} models[] = {
        [FAKE_PF_PLAIN] = { "accel", "accelvf", "0x120000", "0x1234", "0x0010" },
        [FAKE_PF_XE] = { "xe", "xe", "0x030000", "0x8086", "0xe20b" },
        [FAKE_PF_I915] = { "i915", "i915", "0x030000", "0x8086", "0xa780" },
};

static void _printf_(4, 5) add_file(FakeKernel *k, const char *path, const char *name, const char *format, ...)
{
        g_autofree char *file = g_strconcat(path, "/", name, NULL), *text = NULL;
        va_list ap;

        va_start(ap, format);
        text = g_strdup_vprintf(format, ap);
        va_end(ap);
        fake_add_file(k, file, text);
}

static void _printf_(4, 5) add_link(FakeKernel *k, const char *path, const char *name, const char *format, ...)
{
        g_autofree char *link = g_strconcat(path, "/", name, NULL), *target = NULL;
        va_list ap;

        va_start(ap, format);
        target = g_strdup_vprintf(format, ap);
        va_end(ap);
        fake_add_link(k, link, target);
}

static void remove_below(FakeKernel *k, const char *path, const char *name)
{
        g_autofree char *file = g_strconcat(path, "/", name, NULL);

        fake_remove(k, file);
}

static void add_attribute(FakeKernel *k, const char *path, const char *name, FakeShow show, FakeStore store,
                          void *data)
{
        g_autofree char *file = g_strconcat(path, "/", name, NULL);

        fake_add_attribute(k, file, show, store, data);
}

/* ---- binding, with the lock held ---- */

static Driver *find_driver(FakePci *pci, const char *name)
{
        for (guint i = 0; name && i < pci->drivers->len; i++) {
                Driver *d = pci->drivers->pdata[i];

                if (strcmp(d->name, name) == 0)
                        return d;
        }

        return NULL;
}

static Vf *find_vf(FakePci *pci, const char *name)
{
        g_autofree char *text = g_strchomp(g_strdup(name));

        for (guint i = 0; i < pci->pfs->len; i++) {
                FakePf *p = pci->pfs->pdata[i];

                for (guint j = 0; j < p->vfs->len; j++) {
                        Vf *v = p->vfs->pdata[j];

                        if (strcmp(v->name, text) == 0)
                                return v;
                }
        }

        return NULL;
}

/* True if a program has the VF open. Linux then waits for the last close; the fake returns EDEADLK instead,
 * so that a test fails. */
static bool is_open(const Vf *v)
{
        FakeKernel *k = v->pf->pci->k;

        return (v->node && fake_node_is_held(k, v->node)) || (v->cdev && fake_node_is_held(k, v->cdev));
}

/* True if another VF of the IOMMU group has created the node of the group. */
static bool group_has_node(const Vf *v)
{
        for (guint i = 0; i < v->pf->vfs->len; i++) {
                const Vf *w = v->pf->vfs->pdata[i];

                if (w != v && w->node && g_strcmp0(w->node, v->node) == 0)
                        return true;
        }

        return false;
}

static void add_group(Vf *v, int group)
{
        v->group = group;
        add_link(v->pf->pci->k, v->path, "iommu_group", "kernel/iommu_groups/%d", group);
}

static void take_vfio(Vf *v)
{
        FakeKernel *k = v->pf->pci->k;
        int number = v->pf->pci->next_cdev++;
        g_autofree char *folder = g_strdup_printf("%s/vfio-dev/vfio%d", v->path, number);

        v->noiommu = v->group < 0;
        if (v->noiommu)
                add_group(v, v->pf->pci->next_group++);
        if (!v->pf->no_group_nodes) {
                v->node = g_strdup_printf("vfio/%s%d", v->noiommu ? "noiommu-" : "", v->group);
                if (!group_has_node(v))
                        fake_add_node(k, v->node);
        }

        fake_add_directory(k, folder);
        if (v->pf->cdevs && !v->noiommu) {
                add_file(k, folder, "dev", "511:%d\n", number);
                v->cdev = g_strdup_printf("vfio/devices/vfio%d", number);
                fake_add_node(k, v->cdev);
        }
}

static void drop_vfio(Vf *v)
{
        FakeKernel *k = v->pf->pci->k;

        if (v->node && !group_has_node(v))
                fake_remove_node(k, v->node);
        if (v->cdev)
                fake_remove_node(k, v->cdev);
        g_clear_pointer(&v->node, g_free);
        g_clear_pointer(&v->cdev, g_free);
        remove_below(k, v->path, "vfio-dev");

        if (v->noiommu) {
                remove_below(k, v->path, "iommu_group");
                v->group = -1;
        }
}

static int attach(Vf *v, Driver *d)
{
        const char *usual = models[v->pf->model].vf_driver;

        if ((!v->pf->autoprobe && !v->override) || strcmp(v->override ? v->override : usual, d->name) != 0)
                return -ENODEV;

        if (d->probe_errno > 0 || v->probe_errno > 0)
                return -(v->probe_errno > 0 ? v->probe_errno : d->probe_errno);

        if (vfs_driver_is_vfio(d->name) && v->group < 0 && !v->pf->noiommu)
                return -EINVAL;

        v->driver = d;
        add_link(d->pci->k, v->path, "driver", "bus/pci/drivers/%s", d->name);

        if (vfs_driver_is_vfio(d->name))
                take_vfio(v);

        return 0;
}

static int detach(Vf *v)
{
        if (is_open(v))
                return -EDEADLK;

        if (vfs_driver_is_vfio(v->driver->name))
                drop_vfio(v);
        remove_below(v->pf->pci->k, v->path, "driver");
        v->driver = NULL;

        return 0;
}

static int store_bind(FakeKernel *k, const char *path, void *data, const char *value)
{
        Driver *d = data;
        FakePci *pci = d->pci;

        pthread_mutex_lock(&pci->lock);
        Vf *v = find_vf(pci, value);
        int r = !v ? -ENODEV : v->driver ? -EBUSY : attach(v, d);
        pthread_mutex_unlock(&pci->lock);

        return r;
}

static int store_unbind(FakeKernel *k, const char *path, void *data, const char *value)
{
        Driver *d = data;
        FakePci *pci = d->pci;

        pthread_mutex_lock(&pci->lock);
        Vf *v = find_vf(pci, value);
        int r = !v || v->driver != d ? -ENODEV : detach(v);
        pthread_mutex_unlock(&pci->lock);

        return r;
}

static void probe_all(Vf *v)
{
        FakePci *pci = v->pf->pci;

        for (guint i = 0; i < pci->drivers->len && !v->driver; i++)
                (void)attach(v, pci->drivers->pdata[i]);
}

static int store_drivers_probe(FakeKernel *k, const char *path, void *data, const char *value)
{
        FakePci *pci = data;

        pthread_mutex_lock(&pci->lock);

        Vf *v = find_vf(pci, value);
        if (v)
                probe_all(v);
        pthread_mutex_unlock(&pci->lock);

        return v ? 0 : -ENODEV;
}

static int show_override(FakeKernel *k, const char *path, void *data, char **ret)
{
        Vf *v = data;
        FakePci *pci = v->pf->pci;

        pthread_mutex_lock(&pci->lock);
        *ret = g_strdup_printf("%s\n", v->override ? v->override : "(null)");
        pthread_mutex_unlock(&pci->lock);

        return 0;
}

static int store_override(FakeKernel *k, const char *path, void *data, const char *value)
{
        Vf *v = data;
        FakePci *pci = v->pf->pci;

        pthread_mutex_lock(&pci->lock);
        g_free(v->override);

        v->override = g_strndup(value, strcspn(value, "\n"));
        if (!v->override[0])
                g_clear_pointer(&v->override, g_free);
        pthread_mutex_unlock(&pci->lock);

        return 0;
}

/* True if pci_dev.enable_cnt is above 0: VFIO enables a device on open, other drivers on probe. */
static bool is_active(const Vf *v)
{
        return is_open(v) || (v->driver && !vfs_driver_is_vfio(v->driver->name));
}

static int show_enable(FakeKernel *k, const char *path, void *data, char **ret)
{
        Vf *v = data;
        FakePci *pci = v->pf->pci;

        pthread_mutex_lock(&pci->lock);
        *ret = g_strdup(is_active(v) ? "1\n" : "0\n");
        pthread_mutex_unlock(&pci->lock);

        return 0;
}

/* ---- VFs ---- */

static void vf_free(gpointer p)
{
        Vf *v = p;

        g_free(v->name);
        g_free(v->path);
        g_free(v->override);
        g_free(v->node);
        g_free(v->cdev);
        g_free(v);
}

static void name_vf(Vf *v)
{
        const PciAddr *a = &v->pf->address;
        unsigned id = (a->bus << 8 | a->device << 3 | a->function) + v->pf->offset + v->index;
        PciAddr b = {
                .domain = a->domain, .bus = (uint8_t)(id >> 8), .device = id >> 3 & 0x1f, .function = id & 7
        };
        g_autofree char *parent = g_path_get_dirname(v->pf->path);
        char name[PCI_ADDR_STRLEN];

        v->name = g_strdup(pci_addr_format(&b, name));
        v->path = g_strdup_printf("%s/%s", parent, v->name);
}

static int new_group(FakePf *p)
{
        if (!p->shared_group)
                return p->pci->next_group++;
        if (p->group < 0)
                p->group = p->pci->next_group++;

        return p->group;
}

/* The kernel prints the ids in capitals (drivers/pci/pci-sysfs.c). */
static char *make_modalias(FakePfModel model)
{
        g_autofree char *vendor = g_ascii_strup(models[model].vendor + strlen("0x"), -1);
        g_autofree char *device = g_ascii_strup(models[model].device + strlen("0x"), -1);
        const char *class = models[model].class + strlen("0x");

        return g_strdup_printf("pci:v0000%sd0000%ssv00000000sd00000000bc%.2ssc%.2si%.2s", vendor, device, class,
                               class + 2, class + 4);
}

static void add_vf(FakePf *p, unsigned index)
{
        FakeKernel *k = p->pci->k;
        Vf *v = g_new0(Vf, 1);
        g_autofree char *virtfn = g_strdup_printf("virtfn%u", index), *link = NULL;
        g_autofree char *modalias = make_modalias(p->model);

        v->pf = p;
        v->index = index;
        v->group = -1;
        name_vf(v);
        g_ptr_array_add(p->vfs, v);
        add_link(k, v->path, "subsystem", "bus/pci");
        add_link(k, v->path, "physfn", "%s", p->path);

        if (!p->no_iommu)
                add_group(v, new_group(p));
        add_file(k, v->path, "class", "%s\n", models[p->model].class);
        add_file(k, v->path, "modalias", "%s\n", modalias);
        add_attribute(k, v->path, "driver_override", show_override, store_override, v);
        add_attribute(k, v->path, "enable", show_enable, NULL, v);
        add_link(k, p->path, virtfn, "%s", v->path);
        link = g_strconcat("bus/pci/devices/", v->name, NULL);
        fake_add_link(k, link, v->path);
        probe_all(v);
}

static int remove_vfs(FakePf *p)
{
        FakeKernel *k = p->pci->k;

        for (guint i = 0; i < p->vfs->len; i++)
                if (is_open(p->vfs->pdata[i]))
                        return -EDEADLK;

        while (p->vfs->len > 0) {
                Vf *v = p->vfs->pdata[p->vfs->len - 1];
                g_autofree char *virtfn = g_strdup_printf("virtfn%u", v->index);
                g_autofree char *link = g_strconcat("bus/pci/devices/", v->name, NULL);

                if (v->driver)
                        (void)detach(v);
                remove_below(k, p->path, virtfn);
                fake_remove(k, link);
                fake_remove(k, v->path);
                g_ptr_array_set_size(p->vfs, (gint)p->vfs->len - 1);
        }

        return 0;
}

/* xe gives memory to the VFs without a quota, and takes back all quotas when VFs are disabled. */
static void provision(FakePf *p)
{
        for (guint i = 0; i < p->quotas->len; i++) {
                Quota *q = p->quotas->pdata[i];

                if (p->model != FAKE_PF_XE || strcmp(q->name, "vram_quota") != 0)
                        continue;
                if (p->vfs->len == 0)
                        q->value = 0;
                else if (q->vf <= p->vfs->len && q->value == 0)
                        q->value = XE_VRAM / p->vfs->len / 2 / q->step * q->step;
        }
}

/* True for a resource of i915, which gt0 and gt1 both have. */
static bool is_resource(const Quota *q)
{
        return q->step > 0;
}

static bool is_in(const Quota *q, const char *name)
{
        return strcmp(q->name, name) == 0;
}

/* Like pf_validate_config() of i915: 1 if the VF has all required resources, 0 for none, else -ENOKEY. */
static int i915_validate(const FakePf *p, unsigned vf)
{
        bool ggtt = false, any = false;
        unsigned contexts = 0;

        for (guint i = 0; i < p->quotas->len; i++) {
                const Quota *q = p->quotas->pdata[i];

                if (q->vf != vf || !is_resource(q) || q->value == 0)
                        continue;

                any = true;
                ggtt |= is_in(q, "ggtt_quota");
                contexts += is_in(q, "contexts_quota");
        }

        return ggtt && contexts == 2 ? 1 : any ? -ENOKEY : 0;
}

/* Like intel_iov_provisioning_verify() of i915: 1 if a VF has resources, 0 if none has, else -ENOKEY. */
static int i915_verify(const FakePf *p, unsigned n)
{
        int result = 0;

        for (unsigned vf = 1; vf <= n; vf++) {
                int r = i915_validate(p, vf);

                if (r < 0)
                        return r;

                result |= r;
        }

        return result;
}

/* Does the part of i915_sriov_pf_enable_vfs() that gives resources to the VFs. */
static int i915_provision(FakePf *p, unsigned n)
{
        int r = i915_verify(p, n);

        if (r != 0 || p->by_hand)
                return MIN(r, 0); /* some resources are set already, or are left to the administrator */

        p->shared_out = true;
        for (guint i = 0; i < p->quotas->len; i++) {
                Quota *q = p->quotas->pdata[i];

                if (q->vf <= n && is_resource(q) && !(q->part > 0 && is_in(q, "ggtt_quota")))
                        q->value = q->max / n / q->step * q->step;
        }

        return 0;
}

/* Like pf_auto_unprovision() of i915, keeps resources that were provisioned by hand. */
static int i915_unprovision(FakePf *p)
{
        for (guint i = 0; p->shared_out && i < p->quotas->len; i++)
                ((Quota *)p->quotas->pdata[i])->value = 0;
        p->shared_out = false;

        return 0;
}

static int set_numvfs(FakePf *p, unsigned n)
{
        int r = 0;

        if (n > p->total)
                return -ERANGE;
        if (n == p->vfs->len)
                return 0;

        if (!p->driver || strcmp(p->driver->name, models[p->model].driver) != 0)
                return -ENOENT;

        if (n > 0 && p->vfs->len > 0)
                return -EBUSY;
        if (n == 0)
                r = remove_vfs(p);
        if (p->model == FAKE_PF_I915) {
                r = r < 0 ? r : n > 0 ? i915_provision(p, n) : i915_unprovision(p);
                if (r < 0)
                        return r;
        }

        for (unsigned i = 0; i < MIN(n, p->limit); i++)
                add_vf(p, i);
        if (r >= 0)
                provision(p);

        return r;
}

/* Aborts the test. On Linux 6.1 a reader of sriov_numvfs waits, unkillable, while another program changes
 * the number. */
static int show_numvfs(FakeKernel *k, const char *path, void *data, char **ret)
{
        g_error("/sys/%s was read, which may wait for ever", path);
        return -EIO;
}

static int store_numvfs(FakeKernel *k, const char *path, void *data, const char *value)
{
        FakePf *p = data;
        uint16_t n;

        if (parse_u16(value, 10, &n) < 0)
                return -EINVAL;

        return fake_pf_enable(p, n);
}

static int show_autoprobe(FakeKernel *k, const char *path, void *data, char **ret)
{
        FakePf *p = data;

        *ret = g_strdup_printf("%d\n", p->autoprobe);

        return 0;
}

static int store_autoprobe(FakeKernel *k, const char *path, void *data, const char *value)
{
        FakePf *p = data;
        bool on;

        if (parse_boolean(value, &on) < 0)
                return -EINVAL;

        p->autoprobe = on;

        return 0;
}

/* ---- quotas ---- */

static int show_quota(FakeKernel *k, const char *path, void *data, char **ret)
{
        Quota *q = data;

        pthread_mutex_lock(&q->pf->pci->lock);
        *ret = g_strdup_printf("%" G_GUINT64_FORMAT "\n", q->value);
        pthread_mutex_unlock(&q->pf->pci->lock);

        return 0;
}

static uint64_t sum_of_others(const Quota *q)
{
        uint64_t sum = 0;

        for (guint i = 0; i < q->pf->quotas->len; i++) {
                const Quota *o = q->pf->quotas->pdata[i];

                if (o != q && o->part == q->part && strcmp(o->name, q->name) == 0)
                        sum += o->value;
        }

        return sum;
}

static int store_quota(FakeKernel *k, const char *path, void *data, const char *value)
{
        Quota *q = data;
        uint64_t number;
        int r = parse_u64(value, 10, &number);

        if (r < 0)
                return r;

        /* The GT for media has no address space of its own: the file has mode 0444. */
        if (strcmp(q->name, "ggtt_quota") == 0 && q->part > 0)
                return -EACCES;

        if (q->step > 0)
                number = (number + q->step - 1) / q->step * q->step;
        pthread_mutex_lock(&q->pf->pci->lock);
        if (q->step > 0 && number + sum_of_others(q) > q->max) {
                r = -ENOSPC;
                /* i915 releases the old value before it fails. */
                if (q->pf->model == FAKE_PF_I915) {
                        q->value = 0;
                        r = -EDQUOT;
                }
        } else {
                /* i915 does this in pf_mark_manual_provisioning(). */
                q->pf->by_hand |= number > 0 || (is_resource(q) && q->value > 0);
                q->value = q->step > 0 ? number : MIN(number, q->max);
        }

        pthread_mutex_unlock(&q->pf->pci->lock);

        return r;
}

static void add_quota(FakePf *p, const char *path, const char *name, unsigned vf, unsigned part, uint64_t max,
                      uint64_t step)
{
        Quota *q = g_new(Quota, 1);

        *q = (Quota){ .pf = p, .vf = vf, .part = part, .name = name, .max = max, .step = step };
        g_ptr_array_add(p->quotas, q);
        add_attribute(p->pci->k, path, name, show_quota, store_quota, q);
}

static int show_priority(FakeKernel *k, const char *path, void *data, char **ret)
{
        *ret = g_strdup("[low] normal\n");
        return 0;
}

static int show_automatic(FakeKernel *k, const char *path, void *data, char **ret)
{
        *ret = g_strdup(((FakePf *)data)->by_hand ? "0\n" : "1\n");
        return 0;
}

/* Like i915_sriov_pf_set_auto_provisioning(), switches on only while no VF has resources. */
static int store_automatic(FakeKernel *k, const char *path, void *data, const char *value)
{
        FakePf *p = data;
        bool on;
        int r = 0;

        if (parse_boolean(value, &on) < 0)
                return -EINVAL;

        pthread_mutex_lock(&p->pci->lock);
        if (on && p->by_hand && i915_verify(p, p->total) != 0)
                r = -ESTALE;
        else
                p->by_hand = !on;

        pthread_mutex_unlock(&p->pci->lock);

        return r;
}

static void add_admin(FakePf *p)
{
        if (p->model == FAKE_PF_I915) {
                g_autofree char *pf = g_strconcat(p->path, "/drm/card1/iov/pf", NULL);

                add_attribute(p->pci->k, pf, "auto_provisioning", show_automatic, store_automatic, p);
        }

        for (unsigned vf = 1; vf <= p->total; vf++) {
                if (p->model == FAKE_PF_XE) {
                        g_autofree char *path = g_strdup_printf("%s/sriov_admin/vf%u/profile", p->path, vf);

                        add_quota(p, path, "exec_quantum_ms", vf, 0, 100000, 0);
                        add_quota(p, path, "preempt_timeout_us", vf, 0, UINT32_MAX, 0);
                        add_quota(p, path, "vram_quota", vf, 0, XE_VRAM, XE_VRAM_STEP);
                        add_attribute(p->pci->k, path, "sched_priority", show_priority, NULL, NULL);
                }

                for (unsigned gt = 0; p->model == FAKE_PF_I915 && gt < 2; gt++) {
                        g_autofree char *path = g_strdup_printf("%s/drm/card1/iov/vf%u/gt%u", p->path, vf, gt);

                        add_quota(p, path, "exec_quantum_ms", vf, gt, UINT32_MAX, 0);
                        add_quota(p, path, "preempt_timeout_us", vf, gt, UINT32_MAX, 0);
                        add_quota(p, path, "ggtt_quota", vf, gt, I915_GGTT, 4096);
                        add_quota(p, path, "contexts_quota", vf, gt, I915_CONTEXTS, 128);
                        add_quota(p, path, "doorbells_quota", vf, gt, 256, 1);
                }
        }
}

/* ---- the bus ---- */

static void driver_free(gpointer p)
{
        Driver *d = p;

        g_free(d->name);
        g_free(d);
}

static void pf_free(gpointer data)
{
        FakePf *p = data;

        g_ptr_array_unref(p->vfs);
        g_ptr_array_unref(p->quotas);
        g_free(p->name);
        g_free(p->path);
        g_free(p);
}

FakePci *fake_pci_new(FakeKernel *k)
{
        FakePci *pci = g_new0(FakePci, 1);

        pci->k = k;
        pci->next_group = 10;
        pthread_mutex_init(&pci->lock, NULL);
        pci->drivers = g_ptr_array_new_with_free_func(driver_free);
        pci->pfs = g_ptr_array_new_with_free_func(pf_free);
        fake_add_attribute(k, "bus/pci/drivers_probe", NULL, store_drivers_probe, pci);
        fake_pci_add_driver(pci, "vfio-pci");

        return pci;
}

FakePci *fake_pci_free(FakePci *pci)
{
        if (!pci)
                return NULL;

        g_ptr_array_unref(pci->pfs);
        g_ptr_array_unref(pci->drivers);
        pthread_mutex_destroy(&pci->lock);
        g_free(pci);

        return NULL;
}

void fake_pci_add_driver(FakePci *pci, const char *name)
{
        g_autofree char *path = g_strconcat("bus/pci/drivers/", name, NULL);
        g_autofree char *module = g_strdelimit(g_strdup(name), "-", '_');
        g_autofree char *link = g_strdup_printf("module/%s/drivers/pci:%s", module, name);
        Driver *d;

        if (find_driver(pci, name))
                return;

        d = g_new(Driver, 1);
        *d = (Driver){ .pci = pci, .name = g_strdup(name) };
        g_ptr_array_add(pci->drivers, d);
        add_attribute(pci->k, path, "bind", NULL, store_bind, d);
        add_attribute(pci->k, path, "unbind", NULL, store_unbind, d);
        fake_add_link(pci->k, link, path);
}

void fake_pci_remove_driver(FakePci *pci, const char *name)
{
        g_autofree char *path = g_strconcat("bus/pci/drivers/", name, NULL);
        g_autofree char *module = g_strconcat("module/", name, NULL);

        g_strdelimit(module + strlen("module/"), "-", '_');
        fake_remove(pci->k, path);
        fake_remove(pci->k, module);
        pthread_mutex_lock(&pci->lock);
        g_ptr_array_remove(pci->drivers, find_driver(pci, name));
        pthread_mutex_unlock(&pci->lock);
}

void fake_pci_fail_probe(FakePci *pci, const char *driver, int eno)
{
        find_driver(pci, driver)->probe_errno = eno;
}

FakePf *fake_pci_add_pf(FakePci *pci, FakePfModel model, const char *address, unsigned total_vfs,
                        unsigned offset)
{
        FakePf *p = g_new0(FakePf, 1);
        FakeKernel *k = pci->k;

        p->pci = pci;
        p->model = model;
        p->name = g_strdup(address);
        g_assert(pci_addr_parse(address, &p->address) >= 0);
        p->path = p->address.bus == 0 ? g_strdup_printf("devices/pci%.7s/%s", address, address)
                                      : g_strdup_printf("devices/pci%.4s:00/%.4s:00:01.0/%s", address, address,
                                                        address);
        p->total = p->limit = total_vfs;
        p->offset = offset;
        p->autoprobe = true;
        p->group = -1;
        p->vfs = g_ptr_array_new_with_free_func(vf_free);
        p->quotas = g_ptr_array_new_with_free_func(g_free);
        g_ptr_array_add(pci->pfs, p);

        add_link(k, p->path, "subsystem", "bus/pci");
        add_file(k, p->path, "class", "%s\n", models[model].class);
        add_file(k, p->path, "vendor", "%s\n", models[model].vendor);
        add_file(k, p->path, "device", "%s\n", models[model].device);
        add_file(k, p->path, "sriov_totalvfs", "%u\n", total_vfs);
        add_attribute(k, p->path, "sriov_numvfs", show_numvfs, store_numvfs, p);
        add_attribute(k, p->path, "sriov_drivers_autoprobe", show_autoprobe, store_autoprobe, p);
        add_admin(p);
        fake_pci_add_driver(pci, models[model].driver);
        fake_pci_add_driver(pci, models[model].vf_driver);
        fake_pf_set_driver(p, models[model].driver);

        return p;
}

const char *fake_pf_path(FakePf *p)
{
        return p->path;
}

GpuFacts *fake_pf_facts(FakePf *p)
{
        VgpuIo *io = fake_kernel_io(p->pci->k);
        GpuFacts *f = NULL;

        g_assert(gpu_facts_read(io,
                                &(GpuSeed){ .name = p->name,
                                            .path = p->path,
                                            .began_usec = (uint64_t)g_get_monotonic_time() },
                                NULL, &f) >= 0);
        vgpu_io_free(io);

        return f;
}

void fake_pf_set_driver(FakePf *p, const char *driver)
{
        remove_below(p->pci->k, p->path, "driver");
        if (driver) {
                fake_pci_add_driver(p->pci, driver);
                add_link(p->pci->k, p->path, "driver", "bus/pci/drivers/%s", driver);
        }

        p->driver = find_driver(p->pci, driver);
}

void fake_pf_set_limit(FakePf *p, unsigned limit)
{
        p->limit = limit;
}

int fake_pf_enable(FakePf *p, unsigned n)
{
        pthread_mutex_lock(&p->pci->lock);
        int r = set_numvfs(p, n);
        pthread_mutex_unlock(&p->pci->lock);

        return r;
}

void fake_pf_unplug(FakePf *p)
{
        pthread_mutex_lock(&p->pci->lock);
        (void)remove_vfs(p);
        pthread_mutex_unlock(&p->pci->lock);
        fake_remove(p->pci->k, p->path);
}

void fake_pf_set_iommu(FakePf *p, bool iommu, bool shared)
{
        p->no_iommu = !iommu;
        p->shared_group = shared;
}

void fake_pf_set_noiommu(FakePf *p)
{
        p->no_iommu = p->noiommu = true;
}

void fake_pf_set_nodes(FakePf *p, bool group_nodes, bool cdev)
{
        p->no_group_nodes = !group_nodes;
        p->cdevs = cdev;
}

static const Vf *vf_at(FakePf *p, unsigned n)
{
        g_assert(n < p->vfs->len);
        return p->vfs->pdata[n];
}

const char *fake_vf_path(FakePf *p, unsigned n)
{
        return vf_at(p, n)->path;
}

const char *fake_vf_name(FakePf *p, unsigned n)
{
        return vf_at(p, n)->name;
}

const char *fake_vf_driver(FakePf *p, unsigned n)
{
        return vf_at(p, n)->driver ? vf_at(p, n)->driver->name : NULL;
}

const char *fake_vf_override(FakePf *p, unsigned n)
{
        return vf_at(p, n)->override;
}

int fake_vf_group(FakePf *p, unsigned n)
{
        return vf_at(p, n)->group;
}

bool fake_pf_has_active_vf(FakePf *p)
{
        bool active = false;

        pthread_mutex_lock(&p->pci->lock);

        for (guint i = 0; i < p->vfs->len; i++)
                active |= is_active(p->vfs->pdata[i]);
        pthread_mutex_unlock(&p->pci->lock);

        return active;
}

void fake_vf_fail_probe(FakePf *p, unsigned n, int eno)
{
        g_assert(n < p->vfs->len);
        ((Vf *)p->vfs->pdata[n])->probe_errno = eno;
}
