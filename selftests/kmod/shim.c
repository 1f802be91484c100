// SPDX-License-Identifier: GPL-2.0
#include <malloc.h>

unsigned long shim_jiffies = 1000;
long shim_allocations = -1;

void *shim_alloc(size_t n, size_t size, bool zero)
{
	void *p;

	if (!shim_allocations)
		return NULL;
	if (shim_allocations > 0)
		shim_allocations--;
	/* Powers of two are aligned to their size, in the kernel; 64 will do. */
	size *= n;
	p = size % 64 ? malloc(size) : aligned_alloc(64, size);
	/* What was not asked to be zero had better not be relied upon. */
	if (p)
		memset(p, zero ? 0 : 0xa5, size);
	return p;
}

void kfree_sensitive(void *p)
{
	size_t n = p ? malloc_usable_size(p) : 0;

	if (n)
		memset(p, 0, n);
	free(p);
}

static u64 mix(u64 h)
{
	h = (h ^ h >> 30) * 0xbf58476d1ce4e5b9ULL;
	h = (h ^ h >> 27) * 0x94d049bb133111ebULL;
	return h ^ h >> 31;
}

u32 hsiphash(const void *p, size_t n, const hsiphash_key_t *key)
{
	u64 h = key->key, w;

	for (; n >= 8; n -= 8, p += 8) {
		memcpy(&w, p, 8);
		h = mix(h ^ w);
	}
	return h;
}

u32 hsiphash_4u32(u32 a, u32 b, u32 c, u32 d, const hsiphash_key_t *key)
{
	const u32 words[] = { a, b, c, d };

	return hsiphash(words, sizeof(words), key);
}

u32 jhash2(const u32 *p, u32 n, u32 seed)
{
	u64 h = seed;

	while (n--)
		h = mix(h ^ *p++);
	return h;
}

static struct rhash_head **bucket(struct rhashtable *t, const void *key,
				  const struct rhashtable_params *p)
{
	const u8 *b = key;
	u64 h = 1;
	size_t i;

	for (i = 0; i < p->key_len; i++)
		h = mix(h ^ b[i]);
	return &t->bucket[h % ARRAY_SIZE(t->bucket)];
}

static void *object(struct rhash_head *head, size_t head_offset)
{
	return (char *)head - head_offset;
}

int rhashtable_init(struct rhashtable *t, const struct rhashtable_params *p)
{
	*t = (struct rhashtable){ .head_offset = p->head_offset };
	return 0;
}

void *rhashtable_lookup(struct rhashtable *t, const void *key,
			const struct rhashtable_params p)
{
	struct rhash_head *h;

	for (h = *bucket(t, key, &p); h; h = h->next) {
		char *o = object(h, p.head_offset);

		if (!memcmp(o + p.key_offset, key, p.key_len))
			return o;
	}
	return NULL;
}

int rhashtable_insert_fast(struct rhashtable *t, struct rhash_head *head,
			   const struct rhashtable_params p)
{
	char *o = object(head, p.head_offset);
	struct rhash_head **b = bucket(t, o + p.key_offset, &p);

	if (!shim_allocations)
		return -ENOMEM;
	head->next = *b;
	*b = head;
	return 0;
}

int rhashtable_remove_fast(struct rhashtable *t, struct rhash_head *head,
			   const struct rhashtable_params p)
{
	char *o = object(head, p.head_offset);
	struct rhash_head **b = bucket(t, o + p.key_offset, &p);

	for (; *b; b = &(*b)->next) {
		if (*b == head) {
			*b = head->next;
			return 0;
		}
	}
	return -ENOENT;
}

void rhashtable_free_and_destroy(struct rhashtable *t,
				 void (*fn)(void *entry, void *arg), void *arg)
{
	struct rhash_head *h, *next;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(t->bucket); i++) {
		for (h = t->bucket[i]; h; h = next) {
			next = h->next;
			fn(object(h, t->head_offset), arg);
		}
	}
}

static unsigned long position(const struct xarray *x, unsigned long id)
{
	unsigned long i = 0;

	while (i < x->n && x->id[i] < id)
		i++;
	return i;
}

void *xa_load(struct xarray *x, unsigned long id)
{
	unsigned long i = position(x, id);

	return i < x->n && x->id[i] == id ? x->entry[i] : NULL;
}

void *xa_erase(struct xarray *x, unsigned long id)
{
	unsigned long i = position(x, id);
	void *entry = xa_load(x, id);

	if (!entry)
		return NULL;
	x->n--;
	memmove(x->id + i, x->id + i + 1, (x->n - i) * sizeof(*x->id));
	memmove(x->entry + i, x->entry + i + 1, (x->n - i) * sizeof(*x->entry));
	return entry;
}

int xa_insert(struct xarray *x, unsigned long id, void *entry, gfp_t gfp)
{
	unsigned long i = position(x, id);

	if (!shim_allocations)
		return -ENOMEM;
	x->id = realloc(x->id, (x->n + 1) * sizeof(*x->id));
	x->entry = realloc(x->entry, (x->n + 1) * sizeof(*x->entry));
	memmove(x->id + i + 1, x->id + i, (x->n - i) * sizeof(*x->id));
	memmove(x->entry + i + 1, x->entry + i, (x->n - i) * sizeof(*x->entry));
	x->id[i] = id;
	x->entry[i] = entry;
	x->n++;
	return 0;
}

void *xa_store(struct xarray *x, unsigned long id, void *entry, gfp_t gfp)
{
	unsigned long i = position(x, id);
	void *old = xa_load(x, id);

	if (!old)
		return xa_insert(x, id, entry, gfp) ? (void *)-1 : NULL;
	x->entry[i] = entry;
	return old;
}

void *xa_find(struct xarray *x, unsigned long *id, unsigned long last,
	      int filter)
{
	unsigned long i = position(x, *id);

	if (i == x->n || x->id[i] > last)
		return NULL;
	*id = x->id[i];
	return x->entry[i];
}

void xa_destroy(struct xarray *x)
{
	free(x->id);
	free(x->entry);
	xa_init(x);
}

const void *skb_header_pointer(const struct sk_buff *skb, u32 offset, u32 len,
			       void *buffer)
{
	u32 in_head = 0;

	if (offset > skb->len || len > skb->len - offset)
		return NULL;
	if (offset + len <= skb->headlen)
		return skb->head + offset;
	if (offset < skb->headlen) {
		in_head = skb->headlen - offset;
		memcpy(buffer, skb->head + offset, in_head);
	}
	memcpy((u8 *)buffer + in_head,
	       skb->pages + offset + in_head - skb->headlen, len - in_head);
	return buffer;
}
