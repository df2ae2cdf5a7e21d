/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Files, links and lists in sysfs that all GPUs have, and modules.alias. The first byte selects the parser. */

#include "fuzz.h"

#include "base/log.h"
#include "drivers-glue/facts.h"
#include "drivers-glue/io/io-sysfs.h"
#include "drivers-glue/registry.h"
#include "drivers-glue/vfio/driver-choice.h"
#include "fuzz-folder.h"
#include "fuzz-io.h"

static void check_vfs(const GPtrArray *vfs, uint32_t links)
{
        g_assert(vfs->len <= links);

        for (guint i = 0; i < vfs->len; i++) {
                const VgpuVf *v = vfs->pdata[i];

                g_assert(vgpu_io_name_is_valid(v->name) && vgpu_io_path_is_valid(v->path));
                g_assert(i == 0 || ((const VgpuVf *)vfs->pdata[i - 1])->index <= v->index);
        }
}

static void check_text(const char *text)
{
        g_assert(!text || g_utf8_validate(text, -1, NULL));
}

static void check_facts(const GpuFacts *f)
{
        g_autofree char *reason = NULL;
        VgpudHint hint = { 0 };

        check_vfs(f->vfs, f->enabled_vfs);
        check_text(f->driver);
        check_text(f->subsystem);
        check_text(f->link_speed);
        check_text(f->link_speed_max);
        g_assert(f->numa_node >= -1 && f->iommu_group >= -1);
        g_assert(!(f->features & VGPU_FEATURE_I915_IOV) == !f->iov_path);
        g_assert(!f->iov_path || vgpu_io_path_is_valid(f->iov_path));

        for (guint i = 0; i < f->mdev_parents->len; i++) {
                const MdevParent *p = f->mdev_parents->pdata[i];

                g_assert(vgpu_io_path_is_valid(p->path));
                check_text(p->name);
        }

        if (!registry_choose(f, &reason, &hint))
                g_assert(reason && reason[0]);
        else
                g_assert(!reason && hint.id == VGPUD_HINT_NONE);

        vgpud_hint_done(&hint);
}

static void fuzz_facts(FuzzInput *in)
{
        VgpuIo *io = fuzz_io_new(in);
        g_autoptr(GPtrArray) parents = NULL;
        const GpuSeed seed = { .name = FUZZ_GPU_NAME, .path = FUZZ_GPU };
        GpuFacts *f = NULL, *again = NULL;

        if (mdev_parents_read(io, &parents) >= 0)
                for (guint i = 0; i < parents->len; i++)
                        (void)mdev_parent_is_gpu(io, parents->pdata[i]);

        if (gpu_facts_read(io, &seed, parents, &f) >= 0) {
                assert_se(gpu_facts_read(io, &seed, parents, &again) >= 0);
                g_assert(gpu_facts_equal(f, again));
                check_facts(f);
        }

        gpu_facts_unref(f);
        gpu_facts_unref(again);
        vgpu_io_free(io);
}

static void fuzz_driver_choice(FuzzInput *in)
{
        VgpuIo *io = fuzz_io_new(in);
        g_autofree char *driver = NULL, *better = NULL;

        if (vfio_find_driver(io, FUZZ_GPU, &driver, &better) >= 0) {
                g_assert(!driver || strlen(driver) > 0);
                g_assert(!better || vgpu_io_name_is_valid(better));
        }

        vgpu_io_free(io);
}

/* The parsers on real files: a symbolic link "link", and modules.alias. */
static void fuzz_files(FuzzInput *in)
{
        g_autofree char *link = fuzz_take_text(in), *aliases = fuzz_take_text(in);
        _cleanup_close_ int fd = open(fuzz_folder(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        VgpuIo *io = vgpu_io_sysfs_new(&(VgpuIoSysfsConfig){ .sysfs_fd = fd,
                                                             .dev_fd = fd,
                                                             .proc_fd = fd,
                                                             .keep_fd = -EBADF,
                                                             .modules_path = fuzz_folder() });
        g_autofree char *name = NULL, *path = NULL;
        g_auto(GStrv) found = NULL;

        if (symlinkat(link, fd, "link") == 0) {
                if (vgpu_io_read_link_name(io, "link", &name) >= 0)
                        g_assert(vgpu_io_name_is_valid(name));
                if (vgpu_io_resolve_link(io, "link", &path) >= 0)
                        g_assert(vgpu_io_path_is_valid(path));
                (void)unlinkat(fd, "link", 0);
        }

        fuzz_write_file(fd, "modules.alias", aliases);
        assert_se(vgpu_io_list_aliases(io, "vfio_pci:", &found) >= 0);
        for (char **a = found; *a; a++)
                g_assert(g_str_has_prefix(*a, "vfio_pci:") && !strchr(*a, '\n'));
        (void)unlinkat(fd, "modules.alias", 0);
        vgpu_io_free(io);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        FuzzInput in = { data, size };

        log_set_max_level(LOG_CRIT);

        switch (fuzz_take_byte(&in)) {
        case 'f':
                fuzz_facts(&in);
                break;
        case 'a':
                fuzz_driver_choice(&in);
                break;
        case 'l':
                fuzz_files(&in);
                break;
        default:
                break;
        }

        return 0;
}
