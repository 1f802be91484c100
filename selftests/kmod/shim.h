/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Just enough of the kernel's interfaces for the filter's files to run in a
 * test program: no RCU readers but the caller, every allocation from malloc so
 * that AddressSanitizer sees it. Spinlocks and sequence counts are real, for
 * the one test that has threads. Included before every file.
 */
#ifndef KMOD_SHIM_H
#define KMOD_SHIM_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include <asm/byteorder.h>
#include <linux/icmp.h>
#include <linux/icmpv6.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/types.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;

#define U32_MAX UINT32_MAX
#define U64_MAX UINT64_MAX

#define __rcu
#define __percpu
#define ____cacheline_aligned __attribute__((aligned(64)))
#define unlikely(x) __builtin_expect(!!(x), 0)
#define fallthrough __attribute__((fallthrough))
#define BUILD_BUG_ON(c) _Static_assert(!(c), #c)
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define container_of(p, type, m) ((type *)((char *)(p) - offsetof(type, m)))
#define DIV_ROUND_UP(n, d) (((n) + (d) - 1) / (d))
#define round_up(n, d) (DIV_ROUND_UP(n, d) * (d))
#define min_t(t, a, b) ((t)(a) < (t)(b) ? (t)(a) : (t)(b))
#define max_t(t, a, b) ((t)(a) > (t)(b) ? (t)(a) : (t)(b))
#define max(a, b) max_t(__typeof__((a) + (b)), a, b)
#define max3(a, b, c) max(a, max(b, c))
#define READ_ONCE(x) (*(volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, v) (*(volatile __typeof__(x) *)&(x) = (v))
#define smp_mb() __atomic_thread_fence(__ATOMIC_SEQ_CST)
#define smp_load_acquire(p) __atomic_load_n(p, __ATOMIC_ACQUIRE)
#define smp_store_release(p, v) __atomic_store_n(p, v, __ATOMIC_RELEASE)
#define xchg(p, v) __atomic_exchange_n(p, v, __ATOMIC_SEQ_CST)
#define prefetch(p) __builtin_prefetch(p)
#define prefetchw(p) __builtin_prefetch(p, 1)
#define cond_resched() ((void)0)
#define __uninitialized
#define noinline __attribute__((noinline))
#define __maybe_unused __attribute__((unused))
#define __must_check __attribute__((warn_unused_result))
#define rol32(x, n) ((x) << (n) | (x) >> (32 - (n)))

#define be32_to_cpu(x) __be32_to_cpu(x)
#define cpu_to_be32(x) __cpu_to_be32(x)
#define le32_to_cpu(x) __le32_to_cpu(x)
#define cpu_to_le32(x) __cpu_to_le32(x)
#define ntohs(x) __be16_to_cpu(x)
#define htonl(x) __cpu_to_be32(x)
#define ntohl(x) __be32_to_cpu(x)

/* Time: a test moves it. */
extern unsigned long shim_jiffies;
#define jiffies shim_jiffies
#define get_jiffies_64() ((u64)shim_jiffies)
#define HZ 250
#define div_u64(n, by) ((u64)(n) / (u32)(by))
#define jiffies_to_msecs(j) ((j) * (1000 / HZ))

/* Memory. When not negative, that many more allocations succeed. */
extern long shim_allocations;
void *shim_alloc(size_t n, size_t size, bool zero);

typedef int gfp_t;
#define GFP_KERNEL 0
#define GFP_KERNEL_ACCOUNT 0
#define __GFP_NOWARN 0
#define kmalloc(size, gfp) shim_alloc(1, size, false)
#define kzalloc(size, gfp) shim_alloc(1, size, true)
#define kvmalloc(size, gfp) shim_alloc(1, size, false)
#define kvzalloc(size, gfp) shim_alloc(1, size, true)
#define kvmalloc_array(n, size, gfp) shim_alloc(n, size, false)
#define kvcalloc(n, size, gfp) shim_alloc(n, size, true)
#define kfree(p) free((void *)(p))
#define kvfree(p) free((void *)(p))
void kfree_sensitive(void *p);
#define PAGE_SHIFT 12
#define totalram_pages() (4UL << 30 >> PAGE_SHIFT)

static inline void *memchr_inv(const void *p, int c, size_t n)
{
	const u8 *b = p;

	while (n--)
		if (*b++ != (u8)c)
			return (void *)(b - 1);
	return NULL;
}

/* Unlike qsort(), it takes NULL for nothing. */
#define sort_nonatomic(base, n, size, compare, swap) \
	((n) ? qsort(base, n, size, compare) : (void)0)

static inline u32 roundup_pow_of_two(u32 n)
{
	return n < 2 ? 1 : 1U << (32 - __builtin_clz(n - 1));
}

/* Bits. */
#define BITS_PER_LONG 64
#define DECLARE_BITMAP(name, n) unsigned long name[((n) + 63) / 64]
#define __ffs64(x) __builtin_ctzll(x)

static inline void set_bit(u32 i, unsigned long *map)
{
	map[i / 64] |= 1UL << (i % 64);
}

static inline void clear_bit(u32 i, unsigned long *map)
{
	map[i / 64] &= ~(1UL << (i % 64));
}

static inline bool test_bit(u32 i, const unsigned long *map)
{
	return map[i / 64] >> (i % 64) & 1;
}

#define __set_bit set_bit

static inline void bitmap_zero(unsigned long *map, u32 n)
{
	memset(map, 0, DIV_ROUND_UP(n, 64) * sizeof(*map));
}

static inline u32 find_next_zero_bit(const unsigned long *map, u32 size, u32 i)
{
	while (i < size && test_bit(i, map))
		i++;
	return i;
}

static inline u32 find_last_bit(const unsigned long *map, u32 size)
{
	u32 i = DIV_ROUND_UP(size, 64);
	unsigned long word, mask = ~0UL >> (-size & 63);

	for (; i--; mask = ~0UL) {
		word = map[i] & mask;
		if (word)
			return 64 * i + 63 - (u32)__builtin_clzl(word);
	}
	return size;
}

/* Hashes and randomness. */
typedef struct {
	u64 key;
} hsiphash_key_t;

u32 hsiphash(const void *p, size_t n, const hsiphash_key_t *key);
u32 hsiphash_4u32(u32 a, u32 b, u32 c, u32 d, const hsiphash_key_t *key);
u32 jhash2(const u32 *p, u32 n, u32 seed);

static inline void get_random_bytes(void *p, size_t n)
{
	memset(p, 0x5a, n);
}

/* Cryptography: libsodium's stands in for the kernel's. */
struct poly1305_desc_ctx {
	crypto_onetimeauth_state state;
};

#define POLY1305_KEY_SIZE crypto_onetimeauth_KEYBYTES
#define poly1305_init(p, key) ((void)crypto_onetimeauth_init(&(p)->state, key))
#define poly1305_update(p, from, n) \
	((void)crypto_onetimeauth_update(&(p)->state, from, n))
#define poly1305_final(p, to) ((void)crypto_onetimeauth_final(&(p)->state, to))
#define crypto_memneq(a, b, n) sodium_memcmp(a, b, n)
#define memzero_explicit(p, n) sodium_memzero(p, n)

/* Locks. */
struct mutex {
	bool held;
};

typedef struct {
	bool taken;
} spinlock_t;
typedef struct {
	unsigned int n; /* odd while written */
} seqcount_spinlock_t;

static inline void spin_lock_bh(spinlock_t *lock)
{
	while (__atomic_test_and_set(&lock->taken, __ATOMIC_ACQUIRE))
		;
}

static inline void spin_unlock_bh(spinlock_t *lock)
{
	__atomic_clear(&lock->taken, __ATOMIC_RELEASE);
}

static inline unsigned int read_seqcount_begin(const seqcount_spinlock_t *s)
{
	unsigned int n;

	while ((n = __atomic_load_n(&s->n, __ATOMIC_ACQUIRE)) & 1)
		;
	return n;
}

static inline bool read_seqcount_retry(const seqcount_spinlock_t *s,
				       unsigned int start)
{
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return __atomic_load_n(&s->n, __ATOMIC_RELAXED) != start;
}

static inline void write_seqcount_begin(seqcount_spinlock_t *s)
{
	__atomic_store_n(&s->n, s->n + 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
}

static inline void write_seqcount_end(seqcount_spinlock_t *s)
{
	__atomic_store_n(&s->n, s->n + 1, __ATOMIC_RELEASE);
}

#define mutex_init(m) ((m)->held = false)
#define mutex_destroy(m) ((void)0)
#define mutex_lock(m) ((m)->held = true)
#define mutex_unlock(m) ((m)->held = false)
#define lockdep_is_held(m) ((m)->held)
#define spin_lock_init(l) ((void)((l)->taken = false))
#define seqcount_spinlock_init(s, l) ((void)((s)->n = 0))

/* RCU: whoever writes is the only one there. */
struct rcu_head {
	char unused;
};

#define rcu_read_lock() ((void)0)
#define rcu_read_unlock() ((void)0)
#define rcu_dereference(p) (p)
#define rcu_access_pointer(p) (p)
#define rcu_dereference_protected(p, c) ((void)(c), p)
#define rcu_assign_pointer(p, v) ((p) = (v))
#define RCU_INIT_POINTER(p, v) ((p) = (v))
#define synchronize_rcu() ((void)0)
#define rcu_barrier() ((void)0)
#define call_rcu(head, fn) fn(head)
#define kfree_rcu(p, member) free(p)
#define kvfree_rcu(p, member) free(p)

/* Lists. */
struct list_head {
	struct list_head *next, *prev;
};

#define LIST_HEAD(name) struct list_head name = { &(name), &(name) }
#define INIT_LIST_HEAD(l) ((void)(*(l) = (struct list_head){ l, l }))

static inline void list_add(struct list_head *entry, struct list_head *after)
{
	*entry = (struct list_head){ after->next, after };
	after->next->prev = entry;
	after->next = entry;
}

static inline void list_add_tail(struct list_head *entry,
				 struct list_head *list)
{
	list_add(entry, list->prev);
}

static inline void list_del(struct list_head *entry)
{
	entry->prev->next = entry->next;
	entry->next->prev = entry->prev;
}

static inline void list_move(struct list_head *entry, struct list_head *list)
{
	list_del(entry);
	list_add(entry, list);
}

static inline void list_splice_init(struct list_head *from,
				    struct list_head *to)
{
	while (from->next != from)
		list_move(from->next, to);
}

#define list_entry(p, type, m) container_of(p, type, m)
#define list_for_each_entry(e, list, m)                            \
	for (e = list_entry((list)->next, __typeof__(*e), m);      \
	     &e->m != (list);                                      \
	     e = list_entry(e->m.next, __typeof__(*e), m))
#define list_for_each_entry_safe(e, n, list, m)                    \
	for (e = list_entry((list)->next, __typeof__(*e), m),      \
	    n = list_entry(e->m.next, __typeof__(*e), m);          \
	     &e->m != (list);                                      \
	     e = n, n = list_entry(n->m.next, __typeof__(*n), m))

/* Hash tables. */
struct rhash_head {
	struct rhash_head *next;
};

struct rhashtable {
	struct rhash_head *bucket[1024];
	size_t head_offset;
};

struct rhashtable_params {
	size_t head_offset, key_offset, key_len;
	bool automatic_shrinking;
};

int rhashtable_init(struct rhashtable *t, const struct rhashtable_params *p);
void *rhashtable_lookup(struct rhashtable *t, const void *key,
			const struct rhashtable_params p);
#define rhashtable_lookup_fast rhashtable_lookup
int rhashtable_insert_fast(struct rhashtable *t, struct rhash_head *head,
			   const struct rhashtable_params p);
int rhashtable_remove_fast(struct rhashtable *t, struct rhash_head *head,
			   const struct rhashtable_params p);
void rhashtable_free_and_destroy(struct rhashtable *t,
				 void (*fn)(void *entry, void *arg), void *arg);

/* Arrays by id, ascending. */
struct xarray {
	unsigned long *id;
	void **entry;
	unsigned long n;
};

#define XA_PRESENT 0
#define xa_init(x) ((void)(*(x) = (struct xarray){}))
void *xa_load(struct xarray *x, unsigned long id);
void *xa_erase(struct xarray *x, unsigned long id);
void *xa_store(struct xarray *x, unsigned long id, void *entry, gfp_t gfp);
#define xa_err(entry) ((entry) == (void *)-1 ? -ENOMEM : 0)
/* Storing there will not fail unless it would now. */
#define xa_reserve(x, id, gfp) (shim_allocations ? 0 : -ENOMEM)
#define xa_release(x, id) ((void)(x))
int xa_insert(struct xarray *x, unsigned long id, void *entry, gfp_t gfp);
void *xa_find(struct xarray *x, unsigned long *id, unsigned long last,
	      int filter);
void xa_destroy(struct xarray *x);
#define xa_for_each(x, index, e)                                      \
	for (index = 0; (e = xa_find(x, &(index), ~0UL, XA_PRESENT)); \
	     (index)++)

/* Per-CPU counters: one CPU. */
struct u64_stats_sync {
	char unused;
};

typedef struct {
	u64 v;
} u64_stats_t;

#define u64_stats_add(p, n) ((p)->v += (n))
#define u64_stats_read(p) ((p)->v)
#define alloc_percpu_gfp(type, gfp) ((type *)shim_alloc(1, sizeof(type), true))
#define free_percpu(p) free(p)
#define this_cpu_ptr(p) (p)
#define per_cpu_ptr(p, cpu) (p)
#define for_each_possible_cpu(cpu) for (cpu = 0; cpu < 1; cpu++)
#define u64_stats_init(s) ((void)(s))
#define u64_stats_update_begin(s) ((void)(s))
#define u64_stats_update_end(s) ((void)(s))
#define u64_stats_fetch_begin(s) 0
#define u64_stats_fetch_retry(s, start) ((void)(start), 0)

/* Netlink: the text of the last error. */
struct netlink_ext_ack {
	const char *text;
};

#define NL_SET_ERR_MSG(ack, msg)               \
	do {                                   \
		struct netlink_ext_ack *a_ = ack; \
		if (a_)                        \
			a_->text = msg;        \
	} while (0)

/* A packet: the first bytes directly readable, the rest in "pages". */
struct sk_buff {
	const u8 *head;
	u32 headlen;
	const u8 *pages;
	u32 len;
	bool gso;
};

#define skb_network_offset(skb) 0
#define skb_is_gso(skb) ((skb)->gso)
const void *skb_header_pointer(const struct sk_buff *skb, u32 offset, u32 len,
			       void *buffer);

static inline void ipv6_addr_set_v4mapped(__be32 addr, struct in6_addr *out)
{
	out->s6_addr32[0] = 0;
	out->s6_addr32[1] = 0;
	out->s6_addr32[2] = htonl(0xffff);
	out->s6_addr32[3] = addr;
}

#endif
