// SPDX-License-Identifier: GPL-2.0
/*
 * Power that fails: what SQLite has written but not synced reaches the disk in
 * part, in any order, or not at all. Below the database lies a layer that keeps
 * for every file what is synced and what is only written; from that, images of
 * the disk are made after changes that were acknowledged, and opened.
 */
#include <sqlite3.h>
#include <time.h>
#include <unistd.h>

#include "coord-model.h"
#include "lib/file.h"
#include "lib/util.h"
#include "tap.h"

#define CHANGES 1500
#define IMAGES 60

/* A write, or (data NULL) a truncation to @offset. */
struct change {
	sqlite3_int64 offset;
	int n;
	uint8_t *data;
};

/* A file as the disk has it, and what is on its way there. */
struct disk {
	char suffix[8]; /* "" or "-wal" */
	uint8_t *synced;
	size_t n_synced;
	struct change *waiting;
	size_t n_waiting;
};

struct layer_file {
	sqlite3_file base;
	struct disk *disk; /* NULL: a file that does not matter */
	sqlite3_file *real; /* behind this struct */
};

static struct disk disks[2] = { { .suffix = "" }, { .suffix = "-wal" } };
static sqlite3_vfs layer, *real_vfs;
static char path[128];
static unsigned int syncs;

static void perform(uint8_t **data, size_t *n, const struct change *c)
{
	size_t end = (size_t)c->offset + (size_t)c->n;

	if (!c->data) {
		if (end < *n)
			*n = end;
		return;
	}
	if (end > *n) {
		*data = xrealloc(*data, end, 1);
		memset(*data + *n, 0, end - *n);
		*n = end;
	}
	memcpy(*data + c->offset, c->data, (size_t)c->n);
}

static void forget(struct disk *d)
{
	while (d->n_waiting)
		free(d->waiting[--d->n_waiting].data);
}

static void wait_for_sync(struct disk *d, const void *data, int n,
			  sqlite3_int64 offset)
{
	struct change *c;

	d->waiting = xrealloc(d->waiting, d->n_waiting + 1, sizeof(*c));
	c = &d->waiting[d->n_waiting++];
	c->offset = offset;
	c->n = n;
	c->data = NULL;
	if (data) {
		c->data = xmalloc((size_t)n);
		memcpy(c->data, data, (size_t)n);
	}
}

#define REAL(f) (((struct layer_file *)(f))->real)
#define DISK(f) (((struct layer_file *)(f))->disk)

static int layer_close(sqlite3_file *f)
{
	return REAL(f)->pMethods->xClose(REAL(f));
}

static int layer_read(sqlite3_file *f, void *p, int n, sqlite3_int64 at)
{
	return REAL(f)->pMethods->xRead(REAL(f), p, n, at);
}

static int layer_write(sqlite3_file *f, const void *p, int n, sqlite3_int64 at)
{
	if (DISK(f))
		wait_for_sync(DISK(f), p, n, at);
	return REAL(f)->pMethods->xWrite(REAL(f), p, n, at);
}

static int layer_truncate(sqlite3_file *f, sqlite3_int64 size)
{
	if (DISK(f))
		wait_for_sync(DISK(f), NULL, 0, size);
	return REAL(f)->pMethods->xTruncate(REAL(f), size);
}

static int layer_sync(sqlite3_file *f, int flags)
{
	struct disk *d = DISK(f);
	size_t i;

	for (i = 0; d && i < d->n_waiting; i++)
		perform(&d->synced, &d->n_synced, &d->waiting[i]);
	if (d)
		forget(d);
	syncs++;
	return SQLITE_OK; /* the machine's own disk need not have it */
}

static int layer_size(sqlite3_file *f, sqlite3_int64 *size)
{
	return REAL(f)->pMethods->xFileSize(REAL(f), size);
}

static int layer_lock(sqlite3_file *f, int kind)
{
	return REAL(f)->pMethods->xLock(REAL(f), kind);
}

static int layer_unlock(sqlite3_file *f, int kind)
{
	return REAL(f)->pMethods->xUnlock(REAL(f), kind);
}

static int layer_reserved(sqlite3_file *f, int *out)
{
	return REAL(f)->pMethods->xCheckReservedLock(REAL(f), out);
}

static int layer_control(sqlite3_file *f, int op, void *arg)
{
	return REAL(f)->pMethods->xFileControl(REAL(f), op, arg);
}

static int layer_sector(sqlite3_file *f)
{
	return REAL(f)->pMethods->xSectorSize(REAL(f));
}

static int layer_device(sqlite3_file *f)
{
	return REAL(f)->pMethods->xDeviceCharacteristics(REAL(f));
}

static int layer_shm_map(sqlite3_file *f, int page, int size, int extend,
			 void volatile **out)
{
	return REAL(f)->pMethods->xShmMap(REAL(f), page, size, extend, out);
}

static int layer_shm_lock(sqlite3_file *f, int offset, int n, int flags)
{
	return REAL(f)->pMethods->xShmLock(REAL(f), offset, n, flags);
}

static void layer_shm_barrier(sqlite3_file *f)
{
	REAL(f)->pMethods->xShmBarrier(REAL(f));
}

static int layer_shm_unmap(sqlite3_file *f, int delete_it)
{
	return REAL(f)->pMethods->xShmUnmap(REAL(f), delete_it);
}

static const sqlite3_io_methods layer_methods = {
	.iVersion = 2,
	.xClose = layer_close,
	.xRead = layer_read,
	.xWrite = layer_write,
	.xTruncate = layer_truncate,
	.xSync = layer_sync,
	.xFileSize = layer_size,
	.xLock = layer_lock,
	.xUnlock = layer_unlock,
	.xCheckReservedLock = layer_reserved,
	.xFileControl = layer_control,
	.xSectorSize = layer_sector,
	.xDeviceCharacteristics = layer_device,
	.xShmMap = layer_shm_map,
	.xShmLock = layer_shm_lock,
	.xShmBarrier = layer_shm_barrier,
	.xShmUnmap = layer_shm_unmap,
};

static int layer_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *f,
		      int flags, int *out_flags)
{
	struct layer_file *l = (struct layer_file *)f;
	char *data;
	size_t i;
	int err;

	l->real = (sqlite3_file *)(l + 1);
	l->disk = NULL;
	err = real_vfs->xOpen(real_vfs, name, l->real, flags, out_flags);
	l->base.pMethods = err ? NULL : &layer_methods;
	for (i = 0; !err && name && i < ARRAY_SIZE(disks); i++) {
		struct disk *d = &disks[i];

		if (strncmp(name, path, strlen(path)) != 0 ||
		    strcmp(name + strlen(path), d->suffix) != 0)
			continue;
		if (file_read(name, 64 << 20, 0, &data, &d->n_synced))
			abort();
		d->synced = (uint8_t *)data;
		l->disk = d;
	}
	return err;
}

/* The disk after the power failed now: of what waits, some was written. */
static void make_image(const char *to)
{
	char name[256];
	size_t i, j;

	for (i = 0; i < ARRAY_SIZE(disks); i++) {
		struct disk *d = &disks[i];
		uint8_t *data = xmalloc(d->n_synced);
		size_t n = d->n_synced;

		if (n)
			memcpy(data, d->synced, n);
		for (j = 0; j < d->n_waiting; j++)
			if (random() % 2)
				perform(&data, &n, &d->waiting[j]);
		snprintf(name, sizeof(name), "%.128s%s", to, d->suffix);
		if (file_write(name, data, n))
			abort();
		free(data);
	}
}

/* Has the image at @at what was acknowledged last? */
static bool is_there(const char *at, unsigned int value)
{
	struct model *m = test_open(at);
	unsigned int policy, name = 0;
	size_t len;

	if (!m)
		return false;
	policy = model_policy(m, &len) ?
			 (unsigned int)strtoul(model_policy(m, &len), NULL, 10) :
			 0;
	sscanf(model_user(m, 1)->name, "user-%u", &name);
	model_close(m);
	if (policy == value && name == value)
		return true;
	printf("# policy %u, name %u, acknowledged %u\n", policy, name, value);
	return false;
}

int main(void)
{
	char dir[64], image[128], text[32], command[192];
	unsigned int i, checked = 0, lost = 0, seed = (unsigned int)time(NULL);
	struct coord_user *u;
	struct model *m;

	if (!freopen("/dev/null", "w", stderr))
		return 1;
	test_directory(dir);
	snprintf(path, sizeof(path), "%s/coord.db", dir);
	snprintf(image, sizeof(image), "%s/image.db", dir);
	/* Made and closed before, so that the file is there as it is. */
	m = test_open(path);
	model_user_create(m, "user-0", NULL, NULL, NULL, &u);
	model_close(m);

	real_vfs = sqlite3_vfs_find(NULL);
	layer = *real_vfs;
	layer.zName = "layer";
	layer.pNext = NULL;
	layer.szOsFile = (int)sizeof(struct layer_file) + real_vfs->szOsFile;
	layer.xOpen = layer_open;
	sqlite3_vfs_register(&layer, 1);
	m = test_open(path);
	sqlite3_vfs_register(real_vfs, 1);
	if (!tap_ok(m && disks[0].synced, "a database over the layer"))
		return tap_done();
	u = model_user(m, 1);
	srandom(seed);
	for (i = 1; i <= CHANGES && !lost; i++) {
		snprintf(text, sizeof(text), "%u", i);
		if (model_set_policy(m, text, strlen(text)))
			break;
		snprintf(text, sizeof(text), "user-%u", i);
		if (model_user_rename(m, u, text))
			break;
		if (random() % (CHANGES / IMAGES))
			continue;
		snprintf(command, sizeof(command), "rm -f '%s'*", image);
		if (system(command))
			abort();
		make_image(image);
		lost += !is_there(image, i);
		checked++;
	}
	tap_ok(i == CHANGES + 1 && !lost && checked,
	       "power failed %u times: what was acknowledged is there", checked);
	printf("# seed %u, %u changes, %u syncs\n", seed, 2 * (i - 1), syncs);
	model_close(m);
	for (i = 0; i < ARRAY_SIZE(disks); i++) {
		forget(&disks[i]);
		free(disks[i].waiting);
		free(disks[i].synced);
	}
	test_remove(dir);
	return tap_done();
}
