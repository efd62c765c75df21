package config

import "fmt"

// Nearest gives the word of known that word was probably meant to be, or "". It allows one
// wrong, missing, extra or swapped letter in three.
func Nearest(word string, known []string) string {
	if len(word) > 64 {
		return ""
	}
	best, found := len(word)/3+1, ""
	for _, k := range known {
		if d := distance(word, k); d < best || (d == best && found == "") {
			best, found = d, k
		}
	}
	return found
}

// DidYouMean is Nearest as the end of a sentence: `; did you mean "image"?`, or "".
func DidYouMean(word string, known []string) string {
	if n := Nearest(word, known); n != "" {
		return fmt.Sprintf("; did you mean %q?", n)
	}
	return ""
}

// distance counts the letters to insert, drop, replace or swap with their neighbour.
func distance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			replaced := rows[i-1][j-1]
			if a[i-1] != b[j-1] {
				replaced++
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, replaced)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
