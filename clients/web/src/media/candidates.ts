/** Where the server takes media, from the candidates in its answer (RFC 8839, 5.1). */

/**
 * `address:port` of each UDP candidate, in their order; an IPv6 address in brackets. Every m-line
 * repeats them. The server's own loopback says nothing to anybody elsewhere.
 */
export function mediaAddresses(sdp: string): string[] {
  const found = [...sdp.matchAll(/^a=candidate:\S+ \d+ udp \d+ (\S+) (\d+) typ /gim)]
  const addresses = found.map(([, address = '', port = '']) => `${address.includes(':') ? `[${address}]` : address}:${port}`)
  const reachable = addresses.filter((address) => !/^(127\.|\[::1\])/.test(address))
  return [...new Set(reachable.length > 0 ? reachable : addresses)]
}

/** The ports among such addresses, each once. */
export function portsOf(addresses: readonly string[]): string[] {
  return [...new Set(addresses.map((address) => address.slice(address.lastIndexOf(':') + 1)))]
}
