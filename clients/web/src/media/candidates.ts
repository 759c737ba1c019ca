/** Where the server takes media, from the candidates in its answer (RFC 8839, 5.1). */

/** `address:port` of each UDP candidate, in their order; an IPv6 address in brackets. */
export function mediaAddresses(sdp: string): string[] {
  const found = [...sdp.matchAll(/^a=candidate:\S+ \d+ udp \d+ (\S+) (\d+) typ /gim)]
  return found.map(([, address = '', port = '']) => `${address.includes(':') ? `[${address}]` : address}:${port}`)
}

/** The ports among such addresses, each once. */
export function portsOf(addresses: readonly string[]): string[] {
  return [...new Set(addresses.map((address) => address.slice(address.lastIndexOf(':') + 1)))]
}
