// Frames cut out of a stream, however the stream is cut.
import NIOCore
import Testing

@testable import PeerTransport

@Suite struct FrameAssemblerTests {
    private func wire(_ frames: [[UInt8]]) -> [UInt8] {
        frames.flatMap { frame in (0..<4).map { UInt8(truncatingIfNeeded: frame.count >> (24 - 8 * $0)) } + frame }
    }

    @Test(arguments: [1, 2, 3, 4, 5, 7, 64, 1000, 100_000]) func anyCutGivesTheSame(_ piece: Int) throws {
        let frames = [1, 3, 255, 256, 70_000, 4, 1].map { count in (0..<count).map { UInt8(truncatingIfNeeded: $0) } }
        var assembler = FrameAssembler(limit: 70_000)
        var seen: [[UInt8]] = []
        var rest = wire(frames)[...]
        while !rest.isEmpty {
            var buffer = ByteBuffer(bytes: rest.prefix(piece))
            rest = rest.dropFirst(piece)
            while let frame = try assembler.next(from: &buffer) { seen.append(frame) }
            #expect(buffer.readableBytes == 0)
        }
        #expect(seen == frames)
        #expect(assembler.partialBytes == 0 && assembler.announcedBytes == nil)
    }

    @Test func aBadLengthIsKnownFromItsFourBytes() {
        for (bytes, bad) in [
            ([0, 0, 0, 0], FrameAssembler.BadLength.zero), ([0, 0, 0, 11], .tooLarge(announced: 11, limit: 10)),
            ([255, 255, 255, 255], .tooLarge(announced: 4_294_967_295, limit: 10)),
        ] as [([UInt8], FrameAssembler.BadLength)] {
            var assembler = FrameAssembler(limit: 10)
            var buffer = ByteBuffer(bytes: bytes)
            #expect(throws: bad) { _ = try assembler.next(from: &buffer) }
        }
    }

    /// An announcement by itself makes no room.
    @Test func onlyWhatCameIsKept() throws {
        var assembler = FrameAssembler(limit: 1 << 22)
        var buffer = ByteBuffer(bytes: [0, 0x40, 0, 0, 1, 2])
        #expect(try assembler.next(from: &buffer) == nil)
        #expect(assembler.partialBytes == 6 && assembler.announcedBytes == 1 << 22)
    }
}
