/**
 * Copy on first write. A fold over many events may change in place the maps and lists that it made itself, because nobody
 * else has seen them; anything that came from outside is copied first. So a state stays immutable for whoever holds it,
 * and folding a whole log costs its length, not its square.
 */
export type Own = WeakSet<object>;

function mine<T extends object>(own: Own, value: T, copy: () => T): T {
  if (own.has(value)) return value;
  const made = copy();
  own.add(made);
  return made;
}

export function put<K, V>(own: Own, map: ReadonlyMap<K, V>, key: K, value: V): ReadonlyMap<K, V> {
  const target = mine(own, map as Map<K, V>, () => new Map(map));
  return target.set(key, value);
}

export function drop<K, V>(own: Own, map: ReadonlyMap<K, V>, key: K): ReadonlyMap<K, V> {
  if (!map.has(key)) return map;
  const target = mine(own, map as Map<K, V>, () => new Map(map));
  target.delete(key);
  return target;
}

/** The map with one value patched; unchanged where the key is unknown. */
export function patch<K, V extends object>(
  own: Own,
  map: ReadonlyMap<K, V>,
  key: K,
  change: Partial<V>,
): ReadonlyMap<K, V> {
  const value = map.get(key);
  return value ? put(own, map, key, { ...value, ...change }) : map;
}

export function setAt<T>(own: Own, list: readonly T[], index: number, value: T): readonly T[] {
  const target = mine(own, list as T[], () => [...list]);
  target[index] = value;
  return target;
}
