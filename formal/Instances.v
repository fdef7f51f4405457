(* Tools for counterexamples: matrices by their columns, spark in the plane, slots of rays. *)
From Coq Require Import Reals Lra Lia List.
From OSAE Require Import Sums Losses Encoders Statements Rays.
Import ListNotations.
Open Scope R_scope.

(* The matrix with the given columns, and X = D Y. *)
Definition columns (c : list (list R)) : mat := fun i j => nth i (nth j c []) 0.
Definition entries (z : list R) : vec := fun n => nth n z 0.
Definition slots (s : list nat) : nat -> nat := fun n => nth n s O.
Definition product (K : nat) (D Y : mat) : mat := fun i n => sum K (fun j => D i j * Y j n).

(* Goes through the finitely many values of an index. *)
Ltac each j := destruct j as [|j]; [|try lia; each j].
(* Unfolds all but the arithmetic of real numbers. *)
Ltac numbers :=
  cbv -[Rplus Rmult Rminus Ropp Rinv Rdiv IZR sqrt Rle Rlt Rge Rgt Req_EM_T not lt].
(* Decides the zero tests in a frequency. *)
Ltac count := numbers; repeat (destruct (Req_EM_T _ _); try lra); lia.

Lemma another_nonzero K (c : vec) j :
  (exists k, (k < K)%nat /\ k <> j /\ c k <> 0) \/
  forall i, (i < K)%nat -> i <> j -> c i = 0.
Proof.
  induction K as [|K IH]; [right; intros; lia|].
  destruct IH as [[k [Hk H]]|H]; [left; exists k; split; [lia|exact H]|].
  destruct (Nat.eq_dec K j) as [->|E].
  - right. intros i Hi N. apply H; auto; lia.
  - destruct (Req_EM_T (c K) 0) as [Z|Z]; [right|left; exists K; auto].
    intros i Hi N. destruct (Nat.eq_dec i K) as [->|]; auto. apply H; auto; lia.
Qed.

(* The last index at which z is not 0, among the first K. *)
Lemma last_active K (z : vec) :
  (forall j, (j < K)%nat -> z j = 0) \/
  exists b, (b < K)%nat /\ z b <> 0 /\ forall j, (b < j < K)%nat -> z j = 0.
Proof.
  induction K as [|K IH]; [left; intros; lia|].
  destruct (Req_EM_T (z K) 0) as [Z|Z].
  - destruct IH as [H|[b [Hb [Nz H]]]].
    + left. intros j Hj. destruct (Nat.eq_dec j K) as [->|]; auto. apply H; lia.
    + right. exists b. repeat split; auto. intros j Hj.
      destruct (Nat.eq_dec j K) as [->|]; auto. apply H; lia.
  - right. exists K. repeat split; auto. intros; lia.
Qed.

(* Two coordinates: atoms pairwise not parallel have spark 3 or more. *)
Lemma spark_in_the_plane K D : unit_norm 2 K D ->
  (forall j k, (j < K)%nat -> (k < K)%nat -> j <> k -> D 0%nat j * D 1%nat k <> D 1%nat j * D
    0%nat k) ->
  spark_above 2 K D 2.
Proof.
  intros U H c [s [L S]] E j Hj.
  destruct (Req_EM_T (c j) 0) as [|C]; auto. exfalso.
  pose proof (U j Hj) as N. unfold norm2, dot, col in N; simpl in N.
  pose proof (E 0%nat ltac:(lia)) as E0. pose proof (E 1%nat ltac:(lia)) as E1.
  destruct (another_nonzero K c j) as [[k [Hk [Nk Ck]]]|Z].
  - assert (Z : forall i, (i < K)%nat -> i <> j -> i <> k -> c i = 0). {
      intros i Hi Nj Ni. destruct (Req_EM_T (c i) 0) as [|Ci]; auto. exfalso.
      enough (length [i; j; k] <= length s)%nat by (simpl in *; lia).
      apply NoDup_incl_length; [repeat constructor; simpl; intuition congruence|].
      intros x [<-|[<-|[<-|[]]]]; auto. }
    rewrite (sum_two K j k) in E0, E1; auto; try (intros; rewrite Z; auto; ring).
    apply (H j k Hj Hk); auto.
    assert (c j * (D 0%nat j * D 1%nat k - D 1%nat j * D 0%nat k) = 0).
    { replace (c j * _) with ((D 0%nat j * c j + D 0%nat k * c k) * D 1%nat k
        - (D 1%nat j * c j + D 1%nat k * c k) * D 0%nat k) by ring. rewrite E0, E1. ring. }
    destruct (Rmult_integral _ _ H0); [contradiction|lra].
  - rewrite (sum_single K j) in E0, E1; auto; try (intros; rewrite Z; auto; ring).
    destruct (Rmult_integral _ _ E0), (Rmult_integral _ _ E1); try contradiction.
    rewrite H0, H1 in N. lra.
Qed.

Lemma finite_choice N (P : nat -> nat -> Prop) : (forall n, (n < N)%nat -> exists a, P n a) ->
  exists f, forall n, (n < N)%nat -> P n (f n).
Proof.
  induction N as [|N IH]; intros H; [exists (fun _ => O); intros; lia|].
  destruct IH as [f F]; [intros; apply H; lia|]. destruct (H N) as [a Pa]; [lia|].
  exists (fun n => if (n =? N)%nat then a else f n). intros n Hn.
  destruct (Nat.eqb_spec n N) as [->|]; auto. apply F; lia.
Qed.

(* m = 1: L_ND is at least what some map of samples to slots leaves. *)
Lemma slots_bound d K N p X D Y :
  law K p -> unit_norm d K D -> (0 < K)%nat -> sparse_columns K N 1 Y ->
  exists slot, (forall n, (n < N)%nat -> (slot n < K)%nat) /\
  sum N (fun n => norm2 d (col X n) - survival K p (slot n)
    * (dot d (col D (slot n)) (col X n) * dot d (col D (slot n)) (col X n)))
  <= nested_code_loss d K N p X D Y.
Proof.
  intros P U HK S.
  destruct (finite_choice N (fun n a => (a < K)%nat /\
    norm2 d (col X n) - survival K p a * (dot d (col D a) (col X n) * dot d (col D a) (col X n))
    <= sample_loss d K p D (col X n) (col Y n))) as [slot H].
  { intros n Hn. apply ray_bound; auto. }
  exists slot. split; [intros; now apply H|].
  rewrite nested_code_loss_by_samples. apply sum_le; intros n Hn. now apply H.
Qed.

Lemma unit_in_the_plane K D j : unit_norm 2 K D -> (j < K)%nat ->
  D 0%nat j * D 0%nat j + D 1%nat j * D 1%nat j = 1.
Proof. intros U Hj. rewrite <- (U j Hj). unfold norm2, dot, col; simpl. ring. Qed.

Lemma inverse_root c : 0 < c -> (1 / sqrt c) * (1 / sqrt c) = 1 / c.
Proof.
  intros H. pose proof (sqrt_lt_R0 c H). rewrite <- (sqrt_sqrt c) at 3 by lra. field. lra.
Qed.

(* A slot where f is largest. *)
Lemma best_slot K (f : nat -> R) : (0 < K)%nat ->
  exists a, (a < K)%nat /\ forall b, (b < K)%nat -> f b <= f a.
Proof.
  induction K as [|K IH]; intros H; [lia|].
  destruct K as [|K]; [exists O; split; auto; intros b Hb; each b; lra|].
  destruct IH as [a [Ha M]]; [lia|]. destruct (Rle_dec (f (S K)) (f a)) as [L|L].
  - exists a. split; [lia|]. intros b Hb. destruct (Nat.eq_dec b (S K)) as [->|]; auto.
    apply M; lia.
  - exists (S K). split; [lia|]. intros b Hb.
    destruct (Nat.eq_dec b (S K)) as [->|]; [lra|]. pose proof (M b ltac:(lia)). lra.
Qed.

(* m = 1, sample n is c_n times ray v (r n): whole rays go to slots. *)
Lemma rays_bound d K N p X D Y (v : nat -> vec) (r : nat -> nat) (c : vec) :
  law K p -> unit_norm d K D -> (0 < K)%nat -> sparse_columns K N 1 Y ->
  (forall n i, (n < N)%nat -> (i < d)%nat -> X i n = c n * v (r n) i) ->
  exists slot, (forall k, (slot k < K)%nat) /\
  sum N (fun n => c n * c n * (norm2 d (v (r n)) - survival K p (slot (r n))
    * (dot d (col D (slot (r n))) (v (r n)) * dot d (col D (slot (r n))) (v (r n)))))
  <= nested_code_loss d K N p X D Y.
Proof.
  intros P U HK S H.
  assert (B : exists f : nat -> nat, forall n, (n < Datatypes.S (list_max (map r (seq 0 N))))%nat ->
    (f n < K)%nat /\ forall b, (b < K)%nat ->
    survival K p b * (dot d (col D b) (v n) * dot d (col D b) (v n))
    <= survival K p (f n) * (dot d (col D (f n)) (v n) * dot d (col D (f n)) (v n))).
  { apply (finite_choice _ (fun n a => (a < K)%nat /\ forall b, (b < K)%nat ->
      survival K p b * (dot d (col D b) (v n) * dot d (col D b) (v n))
      <= survival K p a * (dot d (col D a) (v n) * dot d (col D a) (v n)))).
    intros n _. now apply best_slot. }
  destruct B as [f B].
  set (R := Datatypes.S (list_max (map r (seq 0 N)))) in *.
  exists (fun k => if (k <? R)%nat then f k else O). split.
  { intros k. destruct (Nat.ltb_spec k R); [now apply B|auto]. }
  rewrite nested_code_loss_by_samples. apply sum_le; intros n Hn.
  assert (Hr : (r n < R)%nat). {
    unfold R. apply Nat.lt_succ_r.
    pose proof (proj1 (list_max_le (map r (seq 0 N)) _) (le_n _)) as F.
    rewrite Forall_forall in F. apply F, in_map, in_seq. lia. }
  rewrite (proj2 (Nat.ltb_lt _ _) Hr).
  destruct (ray_bound d K p D (col X n) (col Y n) P U HK (S n Hn)) as [a [Ha L]].
  eapply Rle_trans; [|exact L].
  replace (norm2 d (col X n)) with (c n * c n * norm2 d (v (r n))).
  - replace (dot d (col D a) (col X n)) with (c n * dot d (col D a) (v (r n))).
    + pose proof (proj2 (B (r n) Hr) a Ha) as M. pose proof (Rle_0_sqr (c n)) as Z.
      unfold Rsqr in Z. pose proof (Rmult_le_compat_l _ _ _ Z M). lra.
    + unfold dot. rewrite <- sum_scal. apply sum_ext; intros i Hi. unfold col.
      rewrite H; auto. ring.
  - unfold norm2, dot. rewrite <- sum_scal. apply sum_ext; intros i Hi. unfold col.
    rewrite H; auto. ring.
Qed.

(* The same at a dictionary of true atoms, slot j with atom k j: every encoder, every order. *)
Lemma true_atoms_bound d K N p X Ds D Y :
  law K p -> unit_norm d K D -> (0 < K)%nat -> sparse_columns K N 1 Y -> atoms_among d K Ds D ->
  exists slot k, (forall n, (n < N)%nat -> (slot n < K)%nat) /\
  (forall j, (j < K)%nat -> (k j < K)%nat) /\
  sum N (fun n => norm2 d (col X n) - survival K p (slot n)
    * (dot d (col Ds (k (slot n))) (col X n) * dot d (col Ds (k (slot n))) (col X n)))
  <= nested_code_loss d K N p X D Y.
Proof.
  intros P U HK S A. destruct (slots_bound d K N p X D Y P U HK S) as [slot [Hs B]].
  destruct (finite_choice K (fun j k => (k < K)%nat /\ parallel d (col D j) (col Ds k)) A)
    as [k Hk].
  exists slot, k. split; [exact Hs|split; [intros; now apply Hk|]].
  eapply Rle_trans; [|exact B]. apply Req_le, sum_ext; intros n Hn.
  now rewrite (parallel_saves d (col D (slot n)) (col Ds (k (slot n)))) by (apply Hk; auto).
Qed.
