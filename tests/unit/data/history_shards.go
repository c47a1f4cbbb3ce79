// Prints history_shards.json with the libraries of Temporal's server 1.31.2. In an empty directory that has this file:
//
//	go mod init vectors
//	go get github.com/dgryski/go-farm@v0.0.0-20240924180020-3414d57e47da
//	go get github.com/temporalio/ringpop-go@v0.0.0-20250130211428-b97329e994f7
//	go run . > history_shards.json
package main

import (
	"encoding/json"
	"os"
	"strconv"

	"github.com/dgryski/go-farm"
	"github.com/temporalio/ringpop-go/hashring"
	"github.com/temporalio/ringpop-go/membership"
)

const (
	longest = 200
	text    = "Zerospof läuft: 全ての履歴シャード → 🜁 0123456789 abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ " +
		"ÄÖÜß éèê ñ ø å ъыь ฤาษี and some more words, so that it has two hundred bytes and a few."
)

// highBytes has bytes of all values, those over 127 as well.
func highBytes(length int) []byte {
	made := make([]byte, length)
	for i := range made {
		made[i] = byte(255 - (i*37+length*11)%251)
	}
	return made
}

type workflow struct {
	NamespaceID string          `json:"namespace_id"`
	WorkflowID  string          `json:"workflow_id"`
	Shards      map[int32]int32 `json:"shards"`
}

// shards is the line of common.WorkflowIDToHistoryShard, for several numbers of shards.
func shards(namespaceID, workflowID string) map[int32]int32 {
	found := map[int32]int32{}
	for _, count := range []int32{1, 4, 512, 1000, 4096} {
		found[count] = int32(farm.Fingerprint32([]byte(namespaceID+"_"+workflowID))%uint32(count)) + 1
	}
	return found
}

type host string

func (h host) Identity() string            { return string(h) }
func (h host) GetAddress() string          { return string(h) }
func (h host) Label(string) (string, bool) { return "", false }

// ring has the position in Members of the owner of shard 1, 2, and so on.
type ring struct {
	Members       []string `json:"members"`
	ReplicaPoints int      `json:"replica_points"`
	Owners        string   `json:"owners"`
}

func newRing(points int, addresses ...string) ring {
	hashed := hashring.New(farm.Fingerprint32, points)
	position := map[string]int{}
	for i, address := range addresses {
		hashed.AddMembers(membership.Member(host(address)))
		position[address] = i
	}
	owners := ""
	for shard := 1; shard <= 512; shard++ {
		owner, _ := hashed.Lookup(strconv.Itoa(shard))
		owners += strconv.Itoa(position[owner])
	}
	return ring{addresses, points, owners}
}

func main() {
	var ofText, ofHighBytes []uint32
	for length := 0; length <= longest; length++ {
		ofText = append(ofText, farm.Fingerprint32([]byte(text)[:length]))
		ofHighBytes = append(ofHighBytes, farm.Fingerprint32(highBytes(length)))
	}
	var workflows []workflow
	for _, namespaceID := range []string{"32049b68-7872-4094-8e63-d0dd59896a83", "0b1a7c2e-9d35-4f0e-8a3c-5f1de2b97c44"} {
		for _, id := range []string{"1", "1000", "4000", "Workflow_A-3f9c1d", "bestellung-größe-42", "注文-7", "a b/c_d", "🜁"} {
			workflows = append(workflows, workflow{namespaceID, id, shards(namespaceID, id)})
		}
	}
	printed := json.NewEncoder(os.Stdout)
	printed.SetEscapeHTML(false)
	_ = printed.Encode(map[string]any{
		"text":               text,
		"hash_of_text":       ofText,
		"hash_of_high_bytes": ofHighBytes,
		"workflows":          workflows,
		"rings": []ring{
			newRing(100, "10.77.0.21:7234"),
			newRing(100, "10.77.0.21:7234", "10.77.0.22:7234", "10.77.0.23:7234"),
			newRing(100, "10.77.0.22:7234", "10.77.0.23:7234"),
			newRing(100, "[2001:db8::21]:7234", "[2001:db8::22]:7234", "[2001:db8::23]:7234"),
			newRing(100, "10.0.0.1:7234", "10.0.0.2:7234", "10.0.0.3:7234", "10.0.0.4:7234", "10.0.0.5:7234", "10.0.0.6:7234", "10.0.0.7:7234", "10.0.0.8:7234", "10.0.0.9:7234", "10.0.0.10:7234"),
			newRing(3, "10.77.0.21:7234", "10.77.0.22:7234", "10.77.0.23:7234"),
		},
	})
}
