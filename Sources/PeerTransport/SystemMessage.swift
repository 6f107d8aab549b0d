// What the system's error numbers mean.
//
// Invariant: beside the look-up of names, the only place of this target that speaks to the C library.
#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

func systemMessage(_ number: CInt) -> String {
    var buffer = [CChar](repeating: 0, count: 256)
    guard strerror_r(number, &buffer, buffer.count) == 0 else { return "error \(number)" }
    return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
}

/// Whether the system, or this process, has no more of something, which others may give back.
func isExhaustion(_ number: CInt) -> Bool { [EMFILE, ENFILE, ENOBUFS, ENOMEM].contains(number) }
