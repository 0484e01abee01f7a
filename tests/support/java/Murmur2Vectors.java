/*
 * Murmur2Vectors - prints tests/unit/base/murmur2_vectors.h: inputs and their murmur2 by the Java
 * client itself, so that the C implementation is compared with the thing it must equal.
 *
 *   javac -cp kafka-clients-4.1.0.jar -d /tmp/vectors tests/support/java/Murmur2Vectors.java
 *   java -cp /tmp/vectors:kafka-clients-4.1.0.jar Murmur2Vectors > tests/unit/base/murmur2_vectors.h
 */
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.apache.kafka.common.utils.Utils;

public final class Murmur2Vectors {
    public static void main(String[] args) {
        List<byte[]> inputs = new ArrayList<>();
        for (String text : new String[] {"", "a", "ab", "abc", "abcd", "abcde", "21", "foobar",
                "a-little-bit-long-string", "a-little-bit-longer-string",
                "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", "user-4711", "\u00e4\u00f6\u20ac",
                "\ud83d\ude00 and more"}) {
            inputs.add(text.getBytes(StandardCharsets.UTF_8));
        }
        Random random = new Random(20260101);
        for (int size = 1; size <= 40; size++) {
            byte[] bytes = new byte[size];
            random.nextBytes(bytes);
            inputs.add(bytes);
        }
        System.out.println("/*");
        System.out.println(" * murmur2_vectors.h - made by tests/support/java/Murmur2Vectors.java with");
        System.out.println(" * org.apache.kafka.common.utils.Utils.murmur2 of kafka-clients 4.1.0; see there how.");
        System.out.println(" */");
        System.out.println("#include <stdint.h>");
        System.out.println();
        System.out.println("typedef struct murmur2_vector {");
        System.out.println("    uint32_t size_bytes;");
        System.out.println("    uint32_t hash;");
        System.out.println("    uint8_t bytes[48];");
        System.out.println("} murmur2_vector;");
        System.out.println();
        System.out.println("/* clang-format off */");
        System.out.println("static const murmur2_vector murmur2_vectors[] = {");
        for (byte[] bytes : inputs) {
            StringBuilder line = new StringBuilder();
            line.append(String.format("    {%d, 0x%08x, {", bytes.length, Utils.murmur2(bytes)));
            for (int i = 0; i < bytes.length; i++) {
                line.append(i == 0 ? "" : ",").append(bytes[i] & 0xff);
            }
            if (bytes.length == 0) {
                line.append("0");
            }
            System.out.println(line.append("}},"));
        }
        System.out.println("};");
        System.out.println("/* clang-format on */");
    }
}
