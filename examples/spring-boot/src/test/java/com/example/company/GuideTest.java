package com.example.company;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;

/** Holds the guide to this example: its code is the code that these tests have run. */
class GuideTest {

    private static final Path GUIDE = Path.of("../../docs/guide/spring-boot.md");
    private static final Pattern FILE = Pattern.compile("^From `([^`]+)`:$");

    @Test
    void every_block_of_java_in_the_guide_stands_in_the_file_that_it_names() throws IOException {
        assumeTrue(Files.exists(GUIDE), "the example was copied without the guide");
        String source = "";
        String file = "";
        List<String> block = null;
        int blocks = 0;
        for (String line : Files.readAllLines(GUIDE)) {
            Matcher named = FILE.matcher(line);
            if (named.matches()) {
                file = named.group(1);
                source = withoutIndents(Files.readAllLines(Path.of(file)));
            } else if (line.equals("```java")) {
                block = new ArrayList<>();
            } else if (line.equals("```") && block != null) {
                assertThat(source).as("%s, of which the guide says that it has%n%s", file, String.join("\n", block))
                        .contains(withoutIndents(block));
                blocks++;
                block = null;
            } else if (block != null) {
                block.add(line);
            }
        }
        assertThat(blocks).isPositive();
    }

    /** A block in the guide begins at the margin; all else is the same, line by line. */
    private static String withoutIndents(List<String> lines) {
        StringBuilder text = new StringBuilder("\n");
        lines.forEach(line -> text.append(line.strip()).append('\n'));
        return text.toString();
    }
}
